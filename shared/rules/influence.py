"""Rule **influence**: which touches influence a contact, make a deal count, and earn revenue?"""

from enum import IntEnum

from shared.events.registry import TOUCH_TYPES, BadRegistry, check_known


class TouchType(IntEnum):
    """The stored number of a touch's type; joining a static list and joining an active list have different numbers."""

    PAGE_VISITED = 1
    FORM_SUBMITTED = 2
    CTA_VIEWED = 3
    CTA_CLICKED = 4
    EMAIL_SENT = 5
    EMAIL_DELIVERED = 6
    EMAIL_OPENED = 7
    EMAIL_CLICKED = 8
    EMAIL_BOUNCED = 9
    EMAIL_UNSUBSCRIBED = 10
    SOCIAL_CLICKED = 11
    SOCIAL_INTERACTED = 12
    AD_VIEWED = 13
    AD_CLICKED = 14
    ASSET_INTERACTED = 15
    LIST_JOINED_STATIC = 16
    LIST_JOINED_ACTIVE = 17
    WORKFLOW_ENROLLED = 18

    @property
    def wire(self) -> str:
        """The event type of such a touch."""
        return "list_joined" if self.name.startswith("LIST_JOINED") else self.name.lower()


def check_numbers(numbered: set[str]) -> None:
    """Raise `BadRegistry` unless these are the registered types of touches, which must have a number each."""
    if lacking := sorted(TOUCH_TYPES - numbered):
        raise BadRegistry(f"{', '.join(lacking)}: touches without a number in TouchType (shared/rules/influence.py)")
    if unknown := sorted(numbered - TOUCH_TYPES):
        raise BadRegistry(
            f"{', '.join(unknown)}: numbers of TouchType (shared/rules/influence.py) for no touch of shared/events/registry.py"
        )


check_numbers({type_.wire for type_ in TouchType})

T = TouchType
INFLUENCING = frozenset(
    {
        T.PAGE_VISITED, T.FORM_SUBMITTED, T.CTA_VIEWED, T.CTA_CLICKED, T.EMAIL_OPENED, T.EMAIL_CLICKED,
        T.SOCIAL_CLICKED, T.SOCIAL_INTERACTED, T.AD_CLICKED, T.ASSET_INTERACTED, T.WORKFLOW_ENROLLED,
        T.LIST_JOINED_STATIC,
    }
)  # fmt: skip
DEAL_TOUCHES = INFLUENCING - {T.LIST_JOINED_STATIC, T.WORKFLOW_ENROLLED}
REVENUE_TOUCHES = DEAL_TOUCHES - {T.CTA_VIEWED, T.EMAIL_OPENED, T.SOCIAL_INTERACTED}
check_known(tuple(t.wire for t in INFLUENCING), "shared/rules/influence.py: INFLUENCING")
check_known(tuple(t.wire for t in REVENUE_TOUCHES), "shared/rules/influence.py: REVENUE_TOUCHES", stage="deals")
