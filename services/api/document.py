"""What do reads answer? By their paths, for `/openapi.json`."""

from collections.abc import Mapping
from typing import Any

from services.api import answers as a

ANSWERS: Mapping[str, Any] = {
    "/v1/campaigns": a.CampaignList | a.CampaignNameList,
    "/v1/campaigns/{campaign_id}": a.CampaignAnswer,
    "/v1/campaigns/{campaign_id}/overview": a.OverviewAnswer,
    "/v1/campaigns/{campaign_id}/timeline": a.TimelineAnswer,
    "/v1/campaigns/{campaign_id}/assets": a.CampaignAssetList,
    "/v1/campaigns/{campaign_id}/contacts": a.ContactsBehind,
    "/v1/campaigns/{campaign_id}/deals": a.DealsBehind,
    "/v1/campaigns/{campaign_id}/touches": a.TouchesBehind,
    "/v1/campaigns/{campaign_id}/sessions": a.SessionsBehind,
    "/v1/campaigns/{campaign_id}/refusals": a.RefusalList,
    "/v1/campaigns/{campaign_id}/spend": a.SpendList,
    "/v1/campaigns/{campaign_id}/budget-items": a.BudgetItemList,
    "/v1/catalog/unresolved": a.UnresolvedAnswer | a.UnresolvedOfKind,
    "/v1/assets": a.AssetList,
    "/v1/assets/{asset_id}": a.AssetAnswer,
    "/v1/assets/{asset_id}/contacts": a.AssetContacts,
    "/v1/assets/{asset_id}/deals": a.AssetDeals,
    "/v1/contacts": a.ContactList,
    "/v1/contacts/{name}": a.ContactAnswer,
    "/v1/contacts/{name}/journey": a.JourneyAnswer,
    "/v1/identifiers": a.IdentifierList,
    "/v1/deals": a.DealList,
    "/v1/deals/{deal_id}": a.DealAnswer,
    "/v1/deals/{deal_id}/attribution": a.DealAttribution,
    "/v1/deals/{deal_id}/explain": a.DealExplanation,
    "/v1/events": a.EventList,
    "/v1/events/{event_id}/explain": a.EventExplanation,
    "/v1/reports/attribution": a.AttributionReport,
    "/v1/reports/attribution/deals": a.GroupDeals,
    "/v1/reports/roi": a.RoiReport,
    "/v1/reports/paths": a.PathList,
    "/v1/status": a.StatusAnswer,
    "/v1/producers": a.ProducerList,
    "/v1/generations": a.GenerationList,
    "/v1/generations/{name}/difference": a.DifferenceAnswer,
    "/v1/verifications": a.VerificationList,
    "/v1/browsers": a.BrowsersAnswer,
    "/marketing/v3/campaigns": a.HubSpotCampaignList,
    "/marketing/v3/campaigns/{campaign_id}": a.HubSpotCampaignWithAssets,
    "/marketing/v3/campaigns/{campaign_id}/assets/{asset_type}": a.HubSpotAssetList,
    "/marketing/v3/campaigns/{campaign_id}/reports/metrics": a.HubSpotMetrics,
    "/marketing/v3/campaigns/{campaign_id}/reports/revenue": a.HubSpotRevenue,
    "/marketing/v3/campaigns/{campaign_id}/reports/contacts/{contact_type}": a.HubSpotContactList,
    "/marketing/v3/campaigns/{campaign_id}/budget/totals": a.HubSpotBudget,
}
"""The answer of each read, by the path of its route."""
