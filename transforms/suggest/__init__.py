"""A draft of the mapping, made from a scan: every row a suggestion with its reason.

    columns    what each column may be: names in seven languages, REDCap labels, kinds of values
    assign     which column fills which field, one for one
    rules      rule, argument and unit of a field that has its column
    values     which code each word of a column stands for
    draft      all rows of the four sheets
    words      the words of columns that a person mapped since
    merge      the draft beside what a person wrote already, which always stays
    workbook   the workbook with its drop-down lists and colors

Nothing here decides: rows are `suggested` and a mapping with such a row does not run.
"""

from transforms.suggest.draft import Draft, draft
from transforms.suggest.merge import merged
from transforms.suggest.words import add_words


__all__ = ["Draft", "add_words", "draft", "merged"]
