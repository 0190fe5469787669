package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/vbauerster/mpb/v8"

	"cloudlets/provision"
	"cloudlets/testdata/bed"
	"cloudlets/web/api"
)

// TestBarsGoOn: a bar that was full shows what comes after that, and the last words are
// not lost.
func TestBarsGoOn(t *testing.T) {
	h := &host{name: "node1", spec: bed.Spec{MAC: "52:54:00:00:00:01", Firmware: bed.BIOS}}
	var out bytes.Buffer
	w := newWatch(&out, []*host{h})
	w.addBars(mpb.WithOutput(&out), mpb.WithAutoRefresh())
	mac := provision.MAC(h.spec.MAC)
	w.show(api.Machine{MAC: mac, Stage: provision.StageInstalled})
	if w.bars[mac].Completed() {
		t.Error("the bar has ended when it was full")
	}
	w.show(api.Machine{MAC: mac, Stage: provision.StageStream})
	w.say(h, "the last %s", "words")
	ended, stop := context.WithCancel(t.Context())
	stop()
	w.run(ended, nil)
	for _, want := range []string{"node1  the last words\n", string(provision.StageStream)} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %q", want, out.String())
		}
	}
}
