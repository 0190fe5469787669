//go:build linux

package doctor

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/pin/tftp/v3"

	"cloudlets/cmd/cloudlets/daemon"
	"cloudlets/httpboot/loaders"
	"cloudlets/images/bytesize"
	"cloudlets/provision/site"
	"cloudlets/provision/site/keys"
)

// How the doctor fetches a boot file: as firmware does, in lock-step and in
// blocks that fill an Ethernet frame.
const (
	firmwareBlock = 1468 // bytes
	fetchTimeout  = time.Second
	fetchRetries  = 3
)

// checkTFTP tries the port of TFTP. If a daemon runs it is taken, and then
// every boot file is fetched from there.
func checkTFTP(ctx context.Context, socket string, site *site.Site, s keys.Settings) (list []Finding) {
	for _, at := range addresses(s, s.TFTP) {
		list = append(list, checkTFTPAt(ctx, at, socket, site, s)...)
	}
	return list
}

func checkTFTPAt(ctx context.Context, at, socket string, site *site.Site, s keys.Settings) []Finding {
	err := tryListen(ctx, daemon.FamilyOf("udp", at), at, "")
	if err == nil || runningServer(ctx, socket) == 0 {
		return []Finding{foundPort("UDP "+at, "TFTP", 0, err)}
	}
	files := loaders.Files{Dir: s.Assets, Site: site}
	var list []Finding
	for _, name := range files.Present(site.Specs()) {
		if ctx.Err() != nil {
			return list
		}
		list = append(list, fetchBootFile(at, name))
	}
	return list
}

// fetchBootFile downloads a file from the TFTP server at an address, and finds
// how large it is and how long that took.
func fetchBootFile(at, name string) Finding {
	began := time.Now()
	size, err := fetchTFTP(at, name)
	what := fmt.Sprintf("%s by TFTP from %s", name, at)
	if err != nil {
		return Found(what, fmt.Errorf("%w; machines would fail in the same way: see the log of `cloudlets serve`, and whether a firewall drops UDP from ports other than 69 (\"tftpSinglePort\": true in cloudlets.json keeps to that one)", err))
	}
	return Finding{What: fmt.Sprintf("%s: %s in %v", what, bytesize.Decimal(size), time.Since(began).Round(time.Millisecond))}
}

// fetchTFTP downloads a file and returns its size in bytes.
func fetchTFTP(at, name string) (int64, error) {
	client, err := tftp.NewClient(at)
	if err != nil {
		return 0, err
	}
	client.SetBlockSize(firmwareBlock)
	client.RequestTSize(true)
	client.SetTimeout(fetchTimeout)
	client.SetRetries(fetchRetries)
	file, err := client.Receive(name, "octet")
	if err != nil {
		return 0, fmt.Errorf("ask for it: %w", err)
	}
	received, err := file.WriteTo(io.Discard)
	if err != nil {
		return received, fmt.Errorf("fetch it: %w after %d bytes", err, received)
	}
	if t, ok := file.(tftp.IncomingTransfer); ok {
		if announced, told := t.Size(); told && announced != received {
			return received, fmt.Errorf("fetch it: %d bytes came, though the server announced %d", received, announced)
		}
	}
	return received, nil
}
