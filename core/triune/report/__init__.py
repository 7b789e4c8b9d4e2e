"""The report of a run or a comparison: one HTML file that needs nothing but a browser.

What happens, in the order of the modules: `recording` writes down what a finished model says of each example,
`records` reads it again; `history` reads how training went; `disagreements` sorts out where rules, labels and model
differ, `scoring` counts; `figures` draws; `gathering` puts a run's page together and `comparison` a comparison's;
`page` fills the templates, and `writing` puts the file into the folder. Only `figures` and `page` import matplotlib
and jinja2, when they are called.
"""
