"""`touchline campaign` and `touchline asset`: the catalog of a workspace; and `touchline retract`, which takes a change of it back."""

from typing import Annotated

import typer

from shared.access.scopes import OPERATOR_WORKSPACE
from shared.reading.limits import LIMIT_DEFAULT, LIMIT_MAX
from touchline.cli.groups import command, group
from touchline.cli.options import AsJson, Data, Workspace

campaigns = group("Create, list, change and delete campaigns, and the assets that they hold.")
assets = group("Register, list and delete assets: pages, forms, emails, links, advertisements.")

Item = Annotated[
    str, typer.Argument(help="the sum's id, which you choose, such as fair; the same id again replaces the sum")
]
Amount = Annotated[str, typer.Argument(help="the sum, such as 1200.50")]
CurrencyOf = Annotated[str, typer.Argument(metavar="CODE", help="its currency, such as EUR")]
Campaign = Annotated[str, typer.Argument(help="the campaign's id, such as spring")]
Assets = Annotated[list[str], typer.Argument(help="the assets' ids")]
Asset = Annotated[str, typer.Argument(help="the asset's id, such as landing-page")]
Name = Annotated[str | None, typer.Option(help="the name that people read")]
UtmCampaign = Annotated[
    str | None, typer.Option(help="the value of utm_campaign by which visits belong to the campaign")
]
StartsOn = Annotated[str | None, typer.Option(help="the first day, such as 2026-03-01", metavar="DATE")]
EndsOn = Annotated[str | None, typer.Option(help="the last day", metavar="DATE")]
Owner = Annotated[str | None, typer.Option(help="who is responsible for it")]
Budget = Annotated[str | None, typer.Option(help="the sum that is planned, such as 1200.50", metavar="AMOUNT")]
Currency = Annotated[str | None, typer.Option(help="the currency of the budget, such as EUR", metavar="CODE")]
Notes = Annotated[str | None, typer.Option(help="a text for people")]
MoveValue = Annotated[bool, typer.Option("--move", help="take the utm value from another campaign that claims it")]


@command(campaigns, "create")
def create(
    campaign: Campaign, name: Name = None, utm_campaign: UtmCampaign = None, starts_on: StartsOn = None,
    ends_on: EndsOn = None, owner: Owner = None, budget: Budget = None, currency: Currency = None, notes: Notes = None,
    move: MoveValue = False, data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Create a campaign. Exits 1 if there is one of this id with other values, or if another one claims the utm value."""
    from touchline.commands import campaign as campaigns

    fields = _fields(name, utm_campaign, starts_on, ends_on, owner, budget, currency, notes)
    campaigns.create(campaign, fields, data, workspace, move=move, as_json=as_json)


@command(campaigns, "list")
def list_(
    text: Annotated[str, typer.Option("--query", help="only campaigns whose id, name or utm value contains this text")] = "",
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """List the campaigns: id, name, days, budget, and whether each is deleted."""
    from touchline.commands import campaign as campaigns

    campaigns.list_(text, data, workspace, as_json=as_json)


@command(campaigns, "show")
def show(
    campaign: Campaign, data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False
) -> None:
    """Show a campaign: its fields, the utm values that it claims, what was spent, and every asset that it holds or held.

    Exits 1 if no event names it.
    """
    from touchline.commands import campaign as campaigns

    campaigns.show(campaign, data, workspace, as_json=as_json)


@command(campaigns, "rename")
def rename(
    campaign: Campaign, name: Annotated[str, typer.Argument(help="the new name")], data: Data = None,
    workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Give a campaign another name. Its id stays."""
    from touchline.commands import campaign as campaigns

    campaigns.change_(campaign, {"name": name}, data, workspace, move=False, as_json=as_json)


@command(campaigns, "change")
def change(
    campaign: Campaign, name: Name = None, utm_campaign: UtmCampaign = None, starts_on: StartsOn = None,
    ends_on: EndsOn = None, owner: Owner = None, budget: Budget = None, currency: Currency = None, notes: Notes = None,
    move: MoveValue = False, data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Change fields of a campaign. What you do not give stays as it is. A utm value is claimed in addition to earlier ones."""
    from touchline.commands import campaign as campaigns

    fields = _fields(name, utm_campaign, starts_on, ends_on, owner, budget, currency, notes)
    campaigns.change_(campaign, fields, data, workspace, move=move, as_json=as_json)


def _fields(
    name: str | None, utm_campaign: str | None, starts_on: str | None, ends_on: str | None, owner: str | None,
    budget: str | None, currency: str | None, notes: str | None,
) -> dict[str, str | None]:  # fmt: skip
    return {
        "name": name, "utm_campaign": utm_campaign, "starts_on": starts_on, "ends_on": ends_on, "owner": owner,
        "budget": budget, "currency": currency, "notes": notes,
    }  # fmt: skip


@command(campaigns, "add")
def add(
    campaign: Campaign, assets: Assets, data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Let a campaign hold assets from now on.

    Exits 1 if an asset is not registered, or if another campaign holds it; the others are added.
    """
    from touchline.commands import campaign as campaigns

    campaigns.add(campaign, assets, data, workspace, move=False, as_json=as_json)


@command(campaigns, "move")
def move(
    campaign: Campaign, assets: Assets, data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Move assets to a campaign from whichever campaign holds them. What counted for that one until now stays there."""
    from touchline.commands import campaign as campaigns

    campaigns.add(campaign, assets, data, workspace, move=True, as_json=as_json)


@command(campaigns, "remove")
def remove(
    campaign: Campaign, assets: Assets, data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Take assets out of a campaign from now on. What counted for it until now stays. Exits 1 if it does not hold one of them."""
    from touchline.commands import campaign as campaigns

    campaigns.remove(campaign, assets, data, workspace, as_json=as_json)


@command(campaigns, "spend")
def spend(
    campaign: Campaign, item: Item, amount: Amount, currency: CurrencyOf,
    on: Annotated[str, typer.Argument(metavar="DATE", help="the day on which it was spent, such as 2026-03-01")],
    asset: Annotated[str | None, typer.Option(help="the asset for which it was spent, such as an advertisement")] = None,
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Record a sum that was spent on a campaign on one day, or replace it. Exits 1 if there is no such campaign or asset.

    `touchline retract` with the event that is printed takes the sum back.
    """
    from touchline.commands import campaign as campaigns

    fields = {"amount": amount, "currency": currency, "on": on, "asset_id": asset}
    campaigns.item("spend", campaign, item, fields, data, workspace, as_json=as_json)


@command(campaigns, "budget")
def budget_(
    campaign: Campaign, item: Item, amount: Amount, currency: CurrencyOf,
    name: Annotated[str | None, typer.Option(help="what it is planned for")] = None,
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Record a sum that is planned for a campaign, or replace it. Exits 1 if there is no such campaign.

    `touchline retract` with the event that is printed takes the sum back.
    """
    from touchline.commands import campaign as campaigns

    fields = {"amount": amount, "currency": currency, "name": name}
    campaigns.item("budget", campaign, item, fields, data, workspace, as_json=as_json)


@command(campaigns, "delete")
def delete(
    campaign: Campaign, data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False
) -> None:
    """Delete a campaign: it holds no asset and claims no value from now on. What counted for it until now stays.

    `touchline retract` with the event that is printed brings it back.
    """
    from touchline.commands import campaign as campaigns

    campaigns.delete(campaign, data, workspace, as_json=as_json)


@command(assets, "register")
def register(
    asset: Asset,
    type_: Annotated[str | None, typer.Option("--type", help="what it is, such as landing_page, form, cta, marketing_email; may be left out of an asset that is registered")] = None,
    name: Name = None,
    url: Annotated[str | None, typer.Option(help="a page's own address")] = None,
    target_url: Annotated[str | None, typer.Option(help="where a tracking URL, a paid-search campaign or a CTA leads")] = None,
    network: Annotated[str | None, typer.Option(help="of an advertisement: google, facebook, …")] = None,
    ad_type: Annotated[str | None, typer.Option(help="of an advertisement: search, display, …")] = None,
    move: Annotated[bool, typer.Option("--move", help="take the address from another asset that is registered with it")] = False,
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Register an asset, or change fields of one. What you do not give stays as it is.

    Exits 1 if it has another type, or if its address is another asset's.
    """
    from touchline.commands import asset as assets

    fields = {
        "asset_type": type_, "name": name, "url": url, "target_url": target_url, "network": network, "ad_type": ad_type,
    }  # fmt: skip
    assets.register(asset, fields, data, workspace, move=move, as_json=as_json)


@command(assets, "list")
def list_assets(
    type_: Annotated[str | None, typer.Option("--type", help="only assets of this type")] = None,
    unheld: Annotated[bool, typer.Option("--unheld", help="only assets that no campaign holds")] = False,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="how many are listed at most")] = LIMIT_DEFAULT,
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """List the registered assets by id: type, name, address, and the campaigns that hold each."""
    from touchline.commands import asset as assets

    assets.list_(type_, unheld, limit, data, workspace, as_json=as_json)


@command(assets, "show")
def show_asset(
    asset: Asset, data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False
) -> None:
    """Show an asset and the campaigns that hold it. Exits 1 if nobody registered it."""
    from touchline.commands import asset as assets

    assets.show(asset, data, workspace, as_json=as_json)


@command(assets, "delete")
def delete_asset(
    asset: Asset, data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False
) -> None:
    """Retract the registrations of an asset. Exits 1 if a campaign holds it. Its touches stay."""
    from touchline.commands import asset as assets

    assets.delete(asset, data, workspace, as_json=as_json)


def add_to(app: typer.Typer) -> None:
    """Add the command `retract` to a group."""
    command(app, "retract")(retract)


def retract(
    event: Annotated[str, typer.Argument(help="the event's id, as commands that change something print it, and lists of events show it")],
    data: Data = None, workspace: Workspace = OPERATOR_WORKSPACE, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Take an event back, of whatever type: it is as if it had never been sent. Exits 1 if there is no such event.

    If you take a retraction back, the event that it retracted counts again.
    """
    from touchline.commands import retract

    retract.retract(event, data, workspace, as_json=as_json)
