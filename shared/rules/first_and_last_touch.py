"""Which routes and touches make a new contact the campaign's, by its first and by its last touch?"""

from shared.rules.influence import TouchType
from shared.rules.pre_association import Route

# Sessions and first touches are of the page's asset or the utm; what brought the visit (`via`) makes neither.
FIRST_TOUCH_ROUTES = frozenset({Route.ASSET, Route.UTM})

# Before converting, in the same session: visiting a page or submitting a form that the campaign then held.
LAST_TOUCH_TYPES = frozenset({TouchType.PAGE_VISITED, TouchType.FORM_SUBMITTED})
