"""Networks of splines and nothing else: refined, pruned, drawn, and read as formulas."""
