// Package fair shares a few slots for costly work among those who ask for it,
// so that one who asks without end makes the others wait for one turn, not for
// all of theirs.
//
// It owns the order in which waiting work gets a slot. It does not own the work,
// nor who counts as one (a share, such as an IP address).
//
// The order is start-time fair queueing (Goyal, Vin, Cheng, SIGCOMM 1996) with
// equal weights and costs: each share's turns carry growing tags, the least tag is
// next, and a share that did not ask lately starts at the present tag, before all
// that wait.
//
// Invariants: no more work runs than there are slots, and of one share no more
// than all but one of several; no share and all shares together wait in no greater number than given; nothing waits longer than given;
// no more shares are remembered than twice as many as can wait.
package fair
