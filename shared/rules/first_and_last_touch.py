"""For which campaigns does a new contact count, by its first and by its last touch (rule **first and last touch**)?

A contact is new when it converts: with the event that created it. The window statuses are those of one campaign, at the instant
of the touch.
"""

from collections.abc import Mapping

from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType
from shared.rules.order import Order
from shared.rules.pre_association import Route, WindowStatus

# Sessions and first touches are of the page's asset or the utm; what brought the visit (`via`) makes neither.
FIRST_TOUCH_ROUTES = frozenset({Route.ASSET, Route.UTM})

# Before converting, in the same session: visiting a page or submitting a form that the campaign then held.
LAST_TOUCH_TYPES = frozenset({TouchType.PAGE_VISITED, TouchType.FORM_SUBMITTED})


def is_first_touch(traffic_class: TrafficClass, by_route: Mapping[Route, WindowStatus]) -> bool:
    """Whether a contact's first page visit, up to and including its conversion, makes it new by its first touch."""
    return traffic_class is TrafficClass.COUNTED and any(
        by_route.get(route) is WindowStatus.COUNTS for route in FIRST_TOUCH_ROUTES
    )


def may_be_last_touch(touch: Order, type_: TouchType, traffic_class: TrafficClass, conversion: Order) -> bool:
    """Whether a touch in the session of a contact's conversion makes the contact new to the campaign that held what it touched."""
    return touch <= conversion and type_ in LAST_TOUCH_TYPES and traffic_class is TrafficClass.COUNTED


def is_last_touch(
    touch: Order, type_: TouchType, traffic_class: TrafficClass, by_asset: WindowStatus | None, conversion: Order
) -> bool:
    """Whether a touch in the session of a contact's conversion makes the contact new by its last touch.

    `by_asset` is the window status of the touched asset or page for the campaign; None if the campaign never held it.
    """
    return may_be_last_touch(touch, type_, traffic_class, conversion) and by_asset is WindowStatus.COUNTS


def is_last_touch_by_utm(by_utm: WindowStatus | None) -> bool:
    """Whether the page that a contact converted on makes it new by its last touch, whatever it visited before.

    `by_utm` is the window status of the page's utm value at the conversion; None if the campaign never claimed it.
    """
    return by_utm is WindowStatus.COUNTS
