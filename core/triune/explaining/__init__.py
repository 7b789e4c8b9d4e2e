"""Why a finished run says of a text what it says: the rules that fire, the tokens that mattered, the nearest examples.

A caller reads `values`, what comes back. A core developer reads `answering` (the story), then `asked` and `scene`
(texts become a table, and are predicted), `effects`, `structured` and `weighed` (the outcome with and without each
rule), `targets` and `judged` (rows of the result), `attribution` and `nearest`.
"""
