"""A profile for people: tables (`tables`) as `text` and as `html`, plots (`figures`), and CSV (`long_form`)."""
