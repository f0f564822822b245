"""Files that browsers load, and the colours all pages share. Imported by report only."""
