package httpboot

import (
	"context"
	"net/netip"
	"runtime"
)

const (
	// maxPlans is how many plans are made at once, for each processor. Each takes
	// some megabytes while it is made, and waits for the sandbox of its templates.
	maxPlans = 2
	// maxClaims is how many claims wait for their turn, for each processor. They
	// are those that get it before their agents ask again, which is after half a
	// minute. When a whole hall is switched on, others are told to ask later.
	maxClaims = 256

	// maxDownloads is how many files are sent at once to machines of the site. Each
	// takes a buffer of 32 KiB. maxQueued is how many downloads wait for that. Others
	// are told to ask later, so that they do not take the connections that short
	// requests need.
	maxDownloads = 256
	maxQueued    = 1024
	// Strangers have a share of their own, so that none of them holds up a machine.
	strangerDownloads = 128
	strangersQueued   = 128
)

// Busy says whether machines wait for their turn. What has time gives way to them then.
func (c *Chain) Busy() bool {
	return c.claims.Crowded(claimBounds()) || c.downloads.Crowded(maxDownloads, maxQueued)
}

// claimBounds are how many plans are made at once, and how many claims wait.
func claimBounds() (most, queue int) {
	n := runtime.GOMAXPROCS(0)
	return maxPlans * n, maxClaims * n
}

// takeClaim waits for the turn of a claim.
func (c *Chain) takeClaim(ctx context.Context) (done func(), err error) {
	most, queue := claimBounds()
	return c.claims.Take(ctx, most, queue)
}

// smallFile is up to how many bytes a file is sent without waiting for a turn: an
// agent that is at work does not wait for those that still load their RAM disks.
const smallFile = 1 << 20

// download waits for the turn of a download of so many bytes, by HTTP or TFTP.
func (c *Chain) download(ctx context.Context, from netip.Addr, size int64) (done func(), err error) {
	if size <= smallFile {
		return func() {}, nil
	}
	if c.KnowsHost(from) {
		return c.downloads.Take(ctx, maxDownloads, maxQueued)
	}
	return c.strangers.Take(ctx, strangerDownloads, strangersQueued)
}
