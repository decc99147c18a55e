// What are things called? The words of the rules, one name everywhere.
export const METRICS = {
  sessions: ["Sessions", "Sessions with a page visit of the campaign's pages or utm values, dated by their start.", "session"],
  new_sessions: ["New sessions", "Those sessions that are their visitor's first ever.", "session"],
  page_views: ["Page views", "Page visits that belong to the campaign, anonymous ones too.", "touch"],
  form_submissions: ["Form submissions", "Forms sent while the campaign held them.", "touch"],
  cta_clicks: ["CTA clicks", "Clicks on calls to action while the campaign held them. They never move with the CTA.", "reassociation"],
  email_opens: ["Email opens", "Opens by people; machine opens are kept out.", "touch"],
  email_clicks: ["Email clicks", "Clicks in the campaign's emails.", "touch"],
  new_contacts_first_touch: ["New contacts, first touch", "Contacts whose first page visit belongs to the campaign, dated by their conversion.", "created"],
  new_contacts_last_touch: ["New contacts, last touch", "Contacts that converted in a session with the campaign: on a page with its utm, or after one of its pages or forms.", "created"],
  influenced_contacts: ["Influenced contacts", "Contacts, new or existing, with an influencing touch; dated by the first such touch.", "influence"],
  contacts_with_revenue: ["Contacts with revenue", "Contacts of won deals whom the campaign touched before the close.", "deal"],
  contacts_with_attributed_revenue: ["Contacts with attributed revenue", "Contacts that own some of the credit under the model.", "credit"],
  influenced_deals: ["Influenced deals", "Open and won deals with a contact that the campaign touched in time.", "deal"],
  closed_deals: ["Won deals", "The won ones among them.", "deal"],
  influenced_revenue: ["Influenced revenue", "Full amounts of the won deals, by currency.", "deal"],
  attributed_revenue: ["Attributed revenue", "The campaign's exact share of every won deal, to the cent.", "exact"],
};
export const isMoney = metric => metric === "influenced_revenue" || metric === "attributed_revenue";
export const REASONS = {
  machine: "Machine traffic", internal: "Own staff", before_association: "Before the association",
  after_association_ended: "After the association ended", utm_not_claimed_then: "utm not claimed then", retracted: "Retracted",
};
// Why an event was refused; another reason is shown as its code.
const REFUSALS = {
  conflicting_duplicate: "Another event has its id", bad_value: "A value is not allowed", missing_field: "A field is missing", unknown_field: "A field is not one of the event's",
  too_large: "It is too large", too_old: "It is too old for a browser to send", in_the_future: "It is in the future", names_nobody: "It names nobody", not_allowed_for_key: "The key may not send it",
};
export const refusalName = code => REFUSALS[code] || code.replaceAll("_", " ").replace(/^./, c => c.toUpperCase());
// By which rule a touch is kept out for each reason.
export const OUT_RULES = {
  machine: "excluded traffic", internal: "excluded traffic", before_association: "pre-association", after_association_ended: "pre-association",
  utm_not_claimed_then: "utm",
};
export const INEFFECTIVE = {
  campaign_deleted: "The campaign had been deleted", social_post_limit: "The campaign was full of social posts",
  already_associated: "Already associated", not_associated: "Not associated", ended_at_once: "Ended at once",
  campaign_not_yet_created: "The campaign was not yet created",
};
export const HIDDEN = {
  not_published: "not published", no_visit_since_campaign_created: "no visit since the campaign was created", no_visit: "no visit yet",
  outside_campaign_dates: "published outside the campaign's dates",
};
export const ROLES = { first: "First touch", lead_creation: "Contact created", deal_creation: "Deal created", last: "Last touch" };
export const UNCREDITED = {
  not_revenue_touch: "Of a kind that earns no credit", contact_not_eligible: "The contact joined the deal too late", after_close: "After the close",
  outside_lookback: "Before the lookback", machine: "Machine traffic", internal: "Own staff",
};
// Why a contact of a deal is not eligible for it.
export const NOT_ELIGIBLE = {
  contact_associated_after_close: "Joined the deal after its close", contact_dissociated_before_close: "Left the deal before its close",
};
export const TYPES = {
  page_visited: "Page visit", form_submitted: "Form submitted", cta_viewed: "CTA seen", cta_clicked: "CTA clicked", email_sent: "Email sent",
  email_delivered: "Email delivered", email_opened: "Email opened", email_clicked: "Email clicked", email_bounced: "Email bounced",
  email_unsubscribed: "Unsubscribed", social_clicked: "Social post clicked", social_interacted: "Social interaction", ad_viewed: "Ad seen",
  ad_clicked: "Ad clicked", asset_interacted: "Interaction", list_joined: "Joined a list", workflow_enrolled: "Enrolled in a workflow",
};
export const typeName = type => TYPES[type] || type.replaceAll("_", " ").replace(/^./, c => c.toUpperCase());
export const CHANNELS = {
  direct: "Direct", organic_search: "Organic search", paid_search: "Paid search", organic_social: "Organic social", paid_social: "Paid social",
  email: "Email", referral: "Referral", display: "Display", video: "Video", affiliates: "Affiliates", sms: "SMS", audio: "Audio", offline: "Offline", other: "Other",
};
export const channelName = channel => CHANNELS[channel] || (channel || "").replaceAll("_", " ");
export const DEAL_STATES = { open: "Open", won: "Won", lost: "Lost", deleted: "Deleted" };
export const MODELS = {
  linear: "Linear", first_interaction: "First interaction", last_interaction: "Last interaction", u_shaped: "U-shaped",
  w_shaped: "W-shaped", full_path: "Full path", time_decay: "Time decay", j_shaped: "J-shaped",
  inverse_j_shaped: "Inverse J-shaped",
};
// Models that share out revenue among the groups of a report, and have no shares of a deal or contact: what each does.
export const DATA_DRIVEN = { markov: "Markov", shapley: "Shapley" };
export const DATA_DRIVEN_SAYS = {
  markov: "How many won deals would be missing without the group, by the paths of all contacts, with or without a won deal.",
  shapley: "Each won deal in equal parts among the groups on its path, however often each was touched.",
};
export const ASSET_TYPES = {
  site_page: "Site pages", landing_page: "Landing pages", blog_post: "Blog posts", case_study: "Case studies", form: "Forms",
  cta: "Calls to action", marketing_email: "Marketing emails", social_post: "Social posts", paid_search: "Paid search",
  ad_campaign: "Ad campaigns", tracking_url: "Tracking URLs", workflow: "Workflows", list: "Lists", video: "Videos",
  document: "Documents", sms: "SMS", marketing_event: "Events", meeting: "Meetings", call: "Calls", podcast: "Podcasts",
  feedback_survey: "Surveys", sequence: "Sequences", playbook: "Playbooks", knowledge_article: "Knowledge articles",
  file: "Files", sales_email: "Sales emails", external_page: "External pages", external: "External", null: "Type not known",
};
// So many touches of a type, as a person says it.
export const touchesText = (type, n, written) => `${written} ${n === 1 ? (TOUCHES[type] || type).replace(/^(visit|submission|view|click|interaction|impression)s$/, "$1") : TOUCHES[type] || type}`;
// The touches of an asset by type, in the order in which they follow one another, in words.
export const statisticsText = (statistics, write) => Object.keys(TOUCHES).filter(type => statistics[type]).map(type => touchesText(type, statistics[type], write(statistics[type]))).join(", ");
// One asset of a type, as a person says it.
export const assetTypeName = type => (ASSET_TYPES[type] || ASSET_TYPES.null).replace(/^Calls/, "Call").replace(/^Case studies/, "Case study").replace(/ies$/, "y").replace(/s$/, "").replace(/^Tracking URL$/, "Tracking URL");
export const TOUCHES = {
  page_visited: "visits", form_submitted: "submissions", cta_viewed: "views", cta_clicked: "clicks", email_sent: "sent",
  email_delivered: "delivered", email_opened: "opened", email_clicked: "clicked", email_bounced: "bounced",
  email_unsubscribed: "unsubscribed", social_clicked: "clicks", social_interacted: "interactions", ad_viewed: "impressions",
  ad_clicked: "clicks", asset_interacted: "interactions", list_joined: "joined", workflow_enrolled: "enrolled",
};
