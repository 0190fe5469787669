package web_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/web"
	"errors"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"context"
)

func TestShot(t *testing.T) {
	browser := startBrowser(t)
	b := newBed(t)
	b.images.set(depot.Key{Image: "debian"}, depot.Status{Kit: &depot.Kit{Pack: depot.File{Size: 116e6}}})
	for i := 3; i < 9; i++ {
		write(t, b.dir, fmt.Sprintf("machines/52:54:00:00:00:%02x.json", i), fmt.Sprintf(`{"image": "debian", "hostname": "node-%d.example.org", "install":"once"}`, i))
	}
	write(t, b.dir, "images/rocky-9/etc/x", "")
	write(t, b.dir, "images/alpine/etc/x", "")
	b.images.set(depot.Key{Image: "alpine"}, depot.Status{Err: errors.New("prepare image alpine: no kernel matches /boot/vmlinuz-*: install a kernel package in the image")})
	b.images.set(depot.Key{Image: "rocky-9"}, depot.Status{Busy: true})
	write(t, b.dir, "machines/52:54:00:00:00:0a.json", "{\n \"imege\": \"debian\"}")
	b.Site.Reload()
	now := time.Now()
	at := func(e provision.Event, s int) provision.Event { e.Time = now.Add(time.Duration(s) * time.Second); return e }
	stages := web.Steps()
	walk := func(mac provision.MAC, n int, from int) {
		for i := range n {
			b.record(t, at(provision.Event{MAC: mac, Kind: provision.KindStage, Stage: stages[i], Text: "begin " + string(stages[i])}, from+i*3))
		}
	}
	b.record(t, at(provision.Event{MAC: mac1, Kind: provision.KindArmed, By: "ann", Text: "install of debian armed"}, -60))
	b.record(t, at(provision.Event{MAC: mac1, Kind: provision.KindDHCP, Stage: provision.StageFirmware, Text: "offered 10.0.0.21 and ipxe.efi", Reason: "UEFI x64 firmware asked; machines/52:54:00:00:00:01.json reserves the address", Facts: map[string]string{"firmware": "uefi-x64", "address": "10.0.0.21", "arch": "amd64", "product": "QEMU Standard PC (Q35 + ICH9, 2009)", "memory": "1.0 GB", "cpus": "2"}}, -40))
	b.record(t, at(provision.Event{MAC: mac1, Kind: provision.KindTFTP, Stage: provision.StageLoader, Text: "sent snponly.efi, 250 kB in 0.4 s"}, -38))
	b.record(t, at(provision.Event{MAC: mac1, Kind: provision.KindDecision, Text: "install debian", Reason: "an install of debian was armed by ann at 2026-11-23 12:00:00"}, -36))
	b.record(t, at(provision.Event{MAC: mac1, Kind: provision.KindHTTP, Stage: provision.StageKernel, Text: "sent vmlinuz and the RAM disk, 42 MB"}, -35))
	b.record(t, at(provision.Event{MAC: mac1, Kind: provision.KindClaim, Stage: provision.StageAgent, Text: "the agent is up and claimed its plan: debian on vda, serial S4EW, virtio, 8.0 GB, then switch"}, -20))
	b.record(t, at(provision.Event{MAC: mac1, Kind: provision.KindStage, Stage: provision.StagePartition, Text: "vda chosen", Reason: "it is the only disk with serial S4EW"}, -18))
	b.record(t, at(provision.Event{MAC: mac1, Kind: provision.KindStage, Stage: provision.StageStream, Text: "files travel to the disk"}, -16))
	b.record(t, provision.Event{MAC: mac1, Kind: provision.KindProgress, Progress: &provision.Progress{Done: 71e6, Total: 116e6, Rate: 9e6}})
	walk(mac2, 11, -400)
	b.record(t, at(provision.Event{MAC: mac2, Kind: provision.KindDone, Text: "the disk is complete"}, -300))
	walk("52:54:00:00:00:03", 5, -90)
	b.record(t, at(provision.Event{MAC: "52:54:00:00:00:03", Kind: provision.KindFailed, Text: "partition: the disk vda is not empty (GPT with 3 partitions); write \"wipe\": true into machines/52:54:00:00:00:03.json if it may be overwritten"}, -60))
	walk("52:54:00:00:00:04", 3, -9)
	walk("52:54:00:00:00:05", 8, -50)
	b.record(t, provision.Event{MAC: "52:54:00:00:00:05", Kind: provision.KindProgress, Progress: &provision.Progress{Done: 116e6, Total: 300e6, Rate: 90e6}})
	b.record(t, at(provision.Event{MAC: "52:54:00:00:00:06", Kind: provision.KindStage, Stage: provision.StageLocal, Text: "x"}, -4000))
	b.record(t, at(provision.Event{MAC: mac9, Kind: provision.KindDHCP, Stage: provision.StageStranger, Text: "x", Facts: map[string]string{"address": "10.0.0.112"}}, -40))
	shots := func(hash, name string, w, h int64) {
		p := openPage(t, browser, b, hash)
		p.waitText("#link", "live")
		p.do(chromedp.EmulateViewport(w, h))
		for _, scheme := range []string{"light", "dark"} {
			p.do(chromedp.Func(func(ctx context.Context, tg *chromedp.Target) error {
				_, err := cdp.Call(ctx, tg, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
				return err
			}))
			time.Sleep(500 * time.Millisecond)
			png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
			if err != nil {
				t.Fatal(err)
			}
			os.WriteFile("/tmp/w/web"+name+"-"+scheme+".png", png, 0o644)
		}
	}
	shots("#"+string(mac1), "", 1360, 1500)
	shots("#"+string(mac1), "-narrow", 420, 2600)
}
