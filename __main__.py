"""`python .` does what `python -m nexus_tui` does."""

from nexus_tui.__main__ import main

raise SystemExit(main())
