package database

// MaxGroups is the most groups one Sum returns; more are an internal error.
const MaxGroups = 100_000

// checkSum checks the fields of a Sum.
func (d *declared) checkSum(field string, groupBy []string) error {
	if kind := d.kinds[field]; kind != Int && kind != Float {
		return d.refuse("sum of %q, which is not a declared number", field)
	}
	for i, g := range groupBy {
		if d.kinds[g] == 0 {
			return d.refuse("sum grouped by %q, which is not declared", g)
		}
		for _, before := range groupBy[:i] {
			if before == g {
				return d.refuse("sum grouped by %q twice", g)
			}
		}
	}
	return nil
}
