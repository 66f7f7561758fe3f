"""The fixed words a site may answer with, and what each means: the same text for everybody."""

from collections.abc import Mapping


__all__ = ["FAILURES", "REMEDIABLE", "RULES"]

# Why a site says no, and what can be done about it. Shown to the analyst, the same text for all.
RULES: Mapping[str, str] = {
    "roster_differs": "the site has pinned another roster; compare fingerprints, then pin again",
    "dictionary_differs": "the site runs another version of the data dictionary; upgrade one side",
    "policy_too_lax": "the site's own policy is stricter; ask under a policy at least as strict",
    "request_unknown": "the site does not know the analysis, view, variable or level asked for",
    "table_too_large": "more variables or cells than the site's policy allows; drop a variable",
    "cohort_mixed": "an `or` or `not` of the cohort ties a sensitive field to another; let each "
    "condition on a sensitive field stand by itself beside the others in one `and`",
    "no_release": "the site has published no release yet",
    "release_held": "the site holds its release back until enough patients have changed, or the "
    "next quarter begins; ask again then",
    "release_gone": "the release that was asked was taken back meanwhile; ask again",
    "budget_spent": "the site has answered its most questions for today; ask again tomorrow",
    "cells_spent": "the release has answered its most cells about one of the sensitive variables; "
    "use the answers there are, or wait for the next release",
    "analyst_budget_spent": "you have asked your most questions for today; ask again tomorrow",
    "second_grid": "this release has told these numbers in other bins; use that answer",
    "second_roster": "this release has answered the question to another roster",
    "second_survivors": "this release has answered the question together with other sites; "
    "use that answer, or wait for those sites or the next release",
    "late_alone": "too few sites would join an earlier answer, which would tell their own figures; "
    "wait until more of the absent ones are back, or for the next release",
    "overtaken": "the site answered another question meanwhile, with which this one was not "
    "compared; ask again",
    "too_much_answered": "the release has answered so much that a table of this size can no longer "
    "be compared with all of it; ask a smaller one, or wait for the next release",
    "second_broadcast": "this release has answered this round of the question differently",
    "unknown_session": "the site does not know the conversation; it may have restarted: ask again",
    "protocol": "the coordinator did not keep to the protocol; the site has left the conversation",
}

# What the analyst can change by asking otherwise, or later.
REMEDIABLE = frozenset(
    {
        "cohort_mixed",
        "table_too_large",
        "request_unknown",
        "budget_spent",
        "overtaken",
        "too_much_answered",
    }
)

FAILURES: Mapping[str, str] = {
    "garbled": "the site could not read the message",
    "unreadable": "what came from the site could not be read, or was changed on its way",
    "view_missing": "the release lacks the analysis view",
    "manifest_missing": "the release has no manifest; run `marmor site verify` at the site",
    "view_changed": "the release was changed after publication; run `marmor site verify` there",
    "view_unreadable": "the analysis view cannot be read; verify the release",
    "view_differs": "the analysis view does not have the dictionary's columns",
    "unknown_code": "the analysis view holds a value outside its code list",
    "query_failed": "the cohort could not be selected",
    "timeout": "the site's statistics took too long",
    "crashed": "the site's statistics ended early, mostly for want of memory",
    "tally_failed": "the site's statistics could not be computed",
    "ledger_broken": "the site's ledger was changed or cut off; it must be restored there",
    "internal": "something broke at the site; its log has the reference",
}
