"""Which role are all logins of the schema `reporting` members of? The embedded PostgreSQL lets its members in by password."""

GROUP = "touchline_reporting"
