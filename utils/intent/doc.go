// Package intent gives what a request makes, ids and secrets, as a function of a
// seed that was stored before the request began to act. The same request sent
// again makes the same ids and secrets: it finds what an earlier attempt made,
// however far that came and whatever answer was lost, and makes nothing twice.
//
// The seed is as secret as what is made of it. Without an intent in the context,
// ids and secrets are random.
package intent
