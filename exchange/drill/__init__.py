"""Drills: each case breaks a market of its own, measures what was lost and how long it took, and reports it in both languages.

A drill never touches the running market. It opens a sandbox in a temporary folder (`scene`), lets a crowd of clients act
on it (`load`), breaks it in one way (`cases`), and judges by the log what the clients were told (`promises`). What came
of it is a report with a picture of the timeline (`report`); that it was held is an entry of the real log. What people do
when it is no drill is in the `plans`, one for each cause.
"""
