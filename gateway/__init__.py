"""How it runs: configuration, inbox, pipeline, journal, live state, core, services, commands."""
