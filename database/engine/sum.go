package engine

// MaxGroups is the most groups of one Sum; more are an internal error.
const MaxGroups = 100_000

// CheckSum checks the field and the grouping of a Sum.
func (d *Declared) CheckSum(field string, groupBy []string) error {
	if kind := d.Kinds[field]; kind != Int && kind != Float {
		return d.Refuse("sum of %q, which is not a declared number", field)
	}
	for i, g := range groupBy {
		if d.Kinds[g] == 0 {
			return d.Refuse("sum grouped by %q, which is not declared", g)
		}
		for _, before := range groupBy[:i] {
			if before == g {
				return d.Refuse("sum grouped by %q twice", g)
			}
		}
	}
	return nil
}
