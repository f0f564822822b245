"""asyncio engine: clock, one driver per device, fleet, pacing, self-measurement. Imports recording, transport, scenario, core."""
