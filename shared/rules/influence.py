"""Rule **influence**: which touches influence a contact, bring a deal, earn revenue?"""

from enum import IntEnum


class TouchType(IntEnum):
    """The stored number of a touch's type; joining a static and an active list are two."""

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
        """The event type that it is told by."""
        return "list_joined" if self.name.startswith("LIST_JOINED") else self.name.lower()


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
