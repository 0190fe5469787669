package web_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"cloudlets/provision"
	"cloudlets/provision/site"
	"cloudlets/provision/store"
	"cloudlets/testdata/needs"
	"cloudlets/web/roster"
)

// chromiumVariable names a Chromium other than the one in PATH.
const chromiumVariable = "CLOUDLETS_CHROMIUM"

// The page, as a person has it on the screen. All its tests share a browser.
func TestPageInABrowser(t *testing.T) {
	browser := startBrowser(t)
	for name, test := range map[string]func(*testing.T, context.Context){
		"a machine, live":             showsAMachineLive,
		"a trace, live":               showsATraceLive,
		"a trace by address":          opensTheTraceOfItsAddress,
		"scripts in the page":         runsNoScriptOfItsOwn,
		"problems and images":         showsProblemsAndImages,
		"no machines":                 saysWhatToDoWhereNothingIs,
		"five hundred machines":       copesWithManyMachines,
		"a search in thousands":       searchesBeyondWhatOneRequestLooksAt,
		"labels":                      filtersByLabels,
		"servers":                     showsTheServers,
		"networks":                    showsTheNetworks,
		"after a broken connection":   connectsAgain,
		"what strangers call a thing": keepsTheTextOfStrangersText,
	} {
		t.Run(name, func(t *testing.T) { test(t, browser) })
	}
}

// startBrowser starts a browser that ends with the test.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	dir := t.TempDir()
	allocated, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()),
		chromedp.ExecPath(chromium(t)), chromedp.UserDataDir(dir+"/profile"), chromedp.Env("TMPDIR="+dir),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck, chromedp.WindowSize(1360, 900),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.WSURLReadTimeout(2*time.Minute),
		// No name is looked up, so that nothing leaves this machine.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"))
	t.Cleanup(stop) // where closing it did not help
	browser, _ := chromedp.NewContext(allocated)
	if err := chromedp.Do(browser); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(browser, 20*time.Second)
		defer cancel()
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("close Chromium: %v", err)
		}
	})
	return browser
}

// tab is a page in a browser, opened on a server's own address.
type tab struct {
	t      *testing.T
	ctx    context.Context
	server *httptest.Server
}

// openPage opens the page of a server in a new tab.
func openPage(t *testing.T, browser context.Context, b *bed, hash string) *tab {
	t.Helper()
	server := httptest.NewServer(b.ReadOnly())
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	ctx, closeTab := chromedp.NewContext(browser)
	t.Cleanup(closeTab)
	p := &tab{t, ctx, server}
	p.do(chromedp.Navigate(server.URL + "/" + hash))
	return p
}

func chromium(t *testing.T) string {
	t.Helper()
	if path := os.Getenv(chromiumVariable); path != "" {
		return path
	}
	return needs.Tool(t, "chromium", "chromium")
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// wait waits until a condition holds on the page.
func (p *tab) wait(condition string) {
	p.t.Helper()
	poll := chromedp.Poll[bool](condition, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(time.Minute))
	if _, err := chromedp.Run(p.ctx, poll); err != nil {
		text, _ := chromedp.Run(p.ctx, chromedp.Evaluate[string]("document.body.innerText"))
		p.t.Fatalf("%s: %v; the page says:\n%s", condition, err, text)
	}
}

// waitText waits until the one element of a selector shows a text.
func (p *tab) waitText(selector, text string) {
	p.t.Helper()
	p.wait(fmt.Sprintf("((e) => e?.checkVisibility() && e.innerText.replace(/\\s+/g, ' ').includes(%q))(document.querySelector(%q))", text, selector))
}

func rowOf(mac provision.MAC) string { return fmt.Sprintf("tbody[data-mac='%s'] ", mac) }

func showsAMachineLive(t *testing.T, browser context.Context) {
	b := newBed(t)
	p := openPage(t, browser, b, "")
	row := rowOf(mac1)
	p.waitText(row+".name", "web-1.example.org")
	p.waitText(row+".stage", "never seen")
	p.waitText(row+".reason", "no install is armed")
	p.waitText("#link", "live")

	b.record(t, provision.Event{MAC: mac1, Kind: provision.KindArmed, By: "ann", Text: "armed"}, entered(mac1, provision.StageStream, 0))
	p.waitText(row+".stage", "writing files")
	p.waitText(row+".action", "install")
	p.wait(fmt.Sprintf("document.querySelectorAll(%q).length === 5", row+".steps .past"))
	for _, want := range []struct {
		done   int64
		amount string
		speed  string
	}{{30e6, "25 % · 30.0 MB of 120 MB", "9.0 MB/s · 10 s left"}, {90e6, "75 % · 90.0 MB of 120 MB", "9.0 MB/s · 3 s left"}} {
		b.record(t, provision.Event{MAC: mac1, Kind: provision.KindProgress, Progress: &provision.Progress{Done: want.done, Total: 120e6, Rate: 9e6}})
		p.wait(fmt.Sprintf("document.querySelector(%q).value === %d", row+"progress", want.done*100/120e6))
		p.waitText(row+".numbers", want.amount)
		p.waitText(row+".numbers", want.speed)
	}

	b.record(t, provision.Event{MAC: mac1, Kind: provision.KindFailed, Text: "the disk vda cannot be written: replace it"})
	p.waitText(row+".failure", "the disk vda cannot be written: replace it")
	p.waitText(row+".stage", "failed at writing files")
}

func showsATraceLive(t *testing.T, browser context.Context) {
	b := newBed(t)
	b.record(t, provision.Event{MAC: mac1, Kind: provision.KindDecision, Text: "boot from its own disk", Reason: "because nobody armed an install"},
		entered(mac1, provision.StageFirmware, 0))
	p := openPage(t, browser, b, "")
	row := rowOf(mac1)
	p.waitText(row+".name", "web-1")
	p.do(chromedp.Focus(chromedp.CSS(row+".name")), chromedp.KeyEvent("\r"))
	p.wait(fmt.Sprintf("document.querySelector(%q).getAttribute('aria-expanded') === 'true'", row+".name"))
	p.waitText(row+".events .why", "because nobody armed an install")

	b.record(t, logged(mac1, "again"), logged(mac1, "again"), logged(mac1, "in between"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Tracker.Run(ctx); err != nil { // tells the count
		t.Fatal(err)
	}
	p.wait(fmt.Sprintf("Array.from(document.querySelectorAll(%q)).map((e) => e.innerText).join('|') === 'again × 2|in between'", row+".events li:nth-child(n+3) .what"))

	p.do(chromedp.KeyEvent("\r"))
	p.wait(fmt.Sprintf("document.querySelector(%q).hidden && document.querySelector(%q) === null", row+".panel", row+".trace"))
}

func opensTheTraceOfItsAddress(t *testing.T, browser context.Context) {
	b := newBed(t)
	b.record(t, logged(mac2, "hello from the trace"))
	openPage(t, browser, b, "#"+string(mac2)).waitText(rowOf(mac2)+".events", "hello from the trace")
}

// A script that found its way into the page all the same would not run.
func runsNoScriptOfItsOwn(t *testing.T, browser context.Context) {
	p := openPage(t, browser, newBed(t), "")
	p.waitText("#link", "live")
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`
		const script = document.createElement("script");
		script.textContent = "window.hacked = 1";
		document.body.append(script);
		String(window.hacked)`))
	if err != nil || text != "undefined" {
		t.Errorf("an inline script ran: %s, %v", text, err)
	}
}

func showsProblemsAndImages(t *testing.T, browser context.Context) {
	b := newBed(t)
	p := openPage(t, browser, b, "")
	p.waitText("#images", "debian packing…")
	p.wait("document.querySelector('#problems').hidden")
	write(t, b.dir, "machines/52:54:00:00:00:01.json", "{\n  \"imege\": \"debian\"}")
	b.Site.Reload()
	p.waitText("#problems", "machines/52:54:00:00:00:01.json:2:")
	p.waitText("#problems", "imege")
	p.waitText(rowOf(mac1)+".name", "web-1")
}

func saysWhatToDoWhereNothingIs(t *testing.T, browser context.Context) {
	b := newBed(t)
	if err := os.RemoveAll(b.dir + "/machines"); err != nil {
		t.Fatal(err)
	}
	site, err := site.Open(b.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.Site, b.Roster = site, roster.New(site, b.Tracker, nil)
	p := openPage(t, browser, b, "")
	p.waitText("#empty", b.dir+"/machines/52:54:00:12:34:56.json")
	b.record(t, provision.Event{MAC: mac9, Kind: provision.KindDHCP, Stage: provision.StageStranger, Text: "asked"})
	p.waitText(rowOf(mac9)+".stage", "not in the site")
	p.wait("document.querySelector('#empty').hidden")
}

// The page shows some of many machines, and finds each by filters, search and pages.
func copesWithManyMachines(t *testing.T, browser context.Context) {
	b := newBed(t)
	b.fill(t, 500, provision.StageStream)
	p := openPage(t, browser, b, "")
	p.wait("document.querySelectorAll('tbody').length === 100")
	p.waitText("#range", "Machines 1 to 100 of 502")
	p.waitText("#filters button[value='']", "All 502")
	p.waitText("#filters button[value=installing]", "Installing 500")

	p.press("#filters button[value=installing]")
	p.waitText("#range", "Machines 1 to 100 of 500")
	for i := range 500 {
		b.record(t, provision.Event{MAC: macOf(i), Kind: provision.KindProgress, Progress: &provision.Progress{Done: 1, Total: 2}})
	}
	p.wait("Array.from(document.querySelectorAll('progress')).filter((bar) => bar.value === 50).length === 100")
	b.record(t, entered(macOf(0), provision.StageInstalled, 0))
	p.waitText("#filters button[value=installing]", "Installing 499")
	p.wait(fmt.Sprintf("!document.querySelector(%q) && document.querySelectorAll('tbody').length === 100", rowOf(macOf(0))))

	p.press("#next")
	p.waitText("#range", "Machines 101 to 200 of 499")
	p.waitText(rowOf(macOf(101))+".name", string(macOf(101)))
	p.wait("document.activeElement.id === 'next' && document.querySelector('#previous').getAttribute('aria-disabled') === 'false'")
	p.press("#previous")
	p.waitText("#range", "Machines 1 to 100 of 499")
	p.wait("document.querySelector('#previous').getAttribute('aria-disabled') === 'true'")

	p.sort("-seen")
	b.record(t, entered(macOf(300), provision.StageVerify, time.Hour))
	p.wait(fmt.Sprintf("document.querySelector('tbody').dataset.mac === %q", macOf(300)))
	p.sort("")

	p.do(chromedp.SendKeys(chromedp.CSS("#search"), strings.ToUpper(string(macOf(0x101)))))
	p.wait("document.querySelectorAll('tbody').length === 1 && document.querySelector('#pages').hidden")
	p.waitText(rowOf(macOf(0x101))+".stage", "writing files")
	p.do(chromedp.SendKeys(chromedp.CSS("#search"), "x"))
	p.waitText("#none", "No machine matches")
}

// sort chooses the order of the table.
func (p *tab) sort(order string) {
	p.t.Helper()
	p.wait(fmt.Sprintf("(sort.value = %q, sort.dispatchEvent(new Event('change')))", order))
}

// press presses a button by the keyboard.
func (p *tab) press(selector string) {
	p.t.Helper()
	p.do(chromedp.Focus(chromedp.CSS(selector)), chromedp.KeyEvent("\r"))
}

// A search looks at some thousand machines at a time. The page goes on until it has
// found one.
func searchesBeyondWhatOneRequestLooksAt(t *testing.T, browser context.Context) {
	b := newBed(t)
	b.fill(t, 2*roster.MaxExamined, provision.StageStream)
	last := macOf(2*roster.MaxExamined - 1)
	p := openPage(t, browser, b, "#"+string(last))
	p.waitText(rowOf(last)+".events", "begin stream")
	p.waitText("#filters button[value='']", "All 8,194")
}

// The page says which servers are alive, and what is wrong with them.
func showsTheServers(t *testing.T, browser context.Context) {
	b := newBed(t)
	shared := &store.Memory{}
	b.Servers = joined(t, shared, "one", "sha256:0123456789abcdef")
	var away atomic.Bool
	b.StoreAway = func() (time.Time, error) {
		if away.Load() {
			return noon.Add(-3 * time.Second), errors.New("no leader")
		}
		return time.Time{}, nil
	}
	p := openPage(t, browser, b, "")
	p.waitText("#link", "live")
	p.wait("document.querySelector('#servers').hidden")
	joined(t, shared, "two", "sha256:fedcba9876543210")
	p.waitText("#alive-count", "2 servers are alive")
	p.waitText("#warnings", "Copies of the site differ")
	p.press("#alive-count")
	p.waitText(".server:first-child", "one (this one) http://one site 0123456789ab")
	p.waitText(".server[data-differs]", "two http://two site fedcba987654 differs")
	away.Store(true)
	p.waitText("#warnings", "The store cannot be reached for 3s, so nothing new is given or armed: no leader.")
}

// The page finds the server again after the connection broke, and shows what
// happened meanwhile.
func connectsAgain(t *testing.T, browser context.Context) {
	b := newBed(t)
	p := openPage(t, browser, b, "#"+string(mac1))
	p.waitText(rowOf(mac1)+".trace", "Nothing has happened")
	p.do(chromedp.Evaluate[chromedp.Void](`new MutationObserver(() => { window.lost ||= document.querySelector("#link").dataset.state === "lost" })
		.observe(document.querySelector("#link"), { attributes: true })`))
	p.server.CloseClientConnections()
	b.record(t, logged(mac1, "meanwhile"))
	p.wait("window.lost && document.querySelector('#link').dataset.state === 'live'")
	p.waitText(rowOf(mac1)+".events", "meanwhile")
}

// Nothing that a machine says of itself becomes more than text.
func keepsTheTextOfStrangersText(t *testing.T, browser context.Context) {
	b := newBed(t)
	hostile := `<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">`
	b.record(t, provision.Event{
		MAC: mac9, Kind: provision.KindDHCP, Stage: provision.StageStranger, Text: hostile, Reason: hostile, By: hostile,
		Facts: map[string]string{"hostname": hostile, "address": hostile, "image": hostile, hostile: hostile},
	}, provision.Event{MAC: mac9, Kind: provision.KindFailed, Text: hostile})
	row := rowOf(mac9)
	p := openPage(t, browser, b, "#"+string(mac9))
	for _, place := range []string{".name", ".sub", "[data-label=Image]", ".failure", ".events .text", ".events .why", ".facts dt", ".facts dd"} {
		p.waitText(row+place, hostile)
	}
	p.wait("window.hacked === undefined && document.querySelectorAll('main script, main img').length === 0")
}

// The page shows what machines have in common, and by a click only those that have it.
func filtersByLabels(t *testing.T, browser context.Context) {
	b := newBed(t)
	write(t, b.dir, "profiles/db.json", `{"tags": ["ssd"]}`)
	write(t, b.dir, "machines/rack3.json", fmt.Sprintf(`{"extends": "db", "hostname": "r3-{n}", "machines": {"1": %q, "2": {"mac": %q, "tags": ["spare"]}}}`, mac9, macOf(7)))
	b.Site.Reload()
	p := openPage(t, browser, b, "")
	p.waitText(rowOf(mac9)+".labels", "rack3 db ssd")
	p.wait("document.querySelectorAll('tbody').length === 4 && document.querySelector('#chosen').hidden")
	for label, want := range map[string]int{"[data-kind=group]": 2, "[data-kind=profile]": 2, "[data-kind=tag][value=spare]": 1} {
		p.press(rowOf(macOf(7)) + ".label" + label)
		p.wait(fmt.Sprintf("document.querySelectorAll('tbody').length === %d", want))
		p.wait("document.querySelector('.panel:not([hidden])') === null")
		p.press("#chosen")
		p.wait("document.querySelectorAll('tbody').length === 4 && document.querySelector('#chosen').hidden")
	}
}
