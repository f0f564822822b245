"""HTML: pages that open offline, one file each. Reads a run folder, never writes but its page.

Charts are values (numbers and texts) until the template draws them as SVG; everything
that came from a scenario, a device or a peer is text to be escaped, and the page's own
content security policy allows no other style and script than the two in it.
"""
