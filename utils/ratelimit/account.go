package ratelimit

// Account is what GCRA keeps of a key. All times are counted in one unit from one
// beginning.
type Account struct {
	// Paid is the theoretical arrival time: when the key has its full limit again.
	Paid int64
	// Began is when the key last ceased to have its full limit, and Given how much
	// was given back since.
	Began, Given int64
}

// Receipt names what one request took, so that no more than is left of it is given
// back.
type Receipt struct {
	// Began is that of the account.
	Began int64
	// Ends is when the request's part of Paid ends, had nothing been given back.
	Ends int64
}

// Take counts a request that uses an interval.
func (a Account) Take(now, interval int64) (Account, Receipt) {
	if a.Paid <= now {
		a = Account{Paid: now, Began: now}
	}
	a.Paid += interval
	return a, Receipt{Began: a.Began, Ends: a.Paid + a.Given}
}

// GiveBack gives back what is left of a request: what the passage of time gave back
// already is not given twice, and nothing once the key had its full limit since. What
// was given back before may have moved the request's part forward; that it did is
// assumed, so that the requests that are not given back stay within the limit.
func (a Account) GiveBack(r Receipt, now, interval int64) Account {
	if a.Paid <= now || a.Began != r.Began {
		return a
	}
	left := min(r.Ends-a.Given-now, interval)
	if left <= 0 {
		return a
	}
	a.Paid, a.Given = a.Paid-left, a.Given+left
	return a
}
