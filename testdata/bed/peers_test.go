package bed_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"cloudlets/testdata/bed"
)

// peers are the servers that a person would set up without this one: dnsmasq for DHCP and
// TFTP, nginx for HTTP. They serve the kernel of the small cloudlet, and a RAM disk
// with busybox and the same modules.
type peers struct {
	ctx     context.Context
	network *bed.Network
	dir     string
	// authorities is what firmware has to trust, or "".
	authorities string
}

// bootloaders are the files that Debian's packages ipxe, shim-signed and
// grub-efi-amd64-signed have, by the names that firmware fetches. That for arm64 is in
// Debian 13.
var bootloaders = map[string]string{
	"snponly.efi": "/usr/lib/ipxe/snponly.efi",
	"shimx64.efi": "/usr/lib/shim/shimx64.efi.signed",
	"grubx64.efi": "/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed",

	"ipxe-arm64.efi": ipxeARM64,
}

// busyboxFiles are what is served besides, with %s for the command line of the kernel.
var busyboxFiles = map[string]string{
	"script":        "#!ipxe\nkernel http://10.77.0.1/vmlinuz initrd=ramdisk %s\ninitrd --name ramdisk http://10.77.0.1/ramdisk\nboot\n",
	"grub/grub.cfg": "linux /vmlinuz %s\ninitrd /ramdisk\nboot\n",
	"report":        "",
}

// busyboxInit is process 1 of the peers' RAM disk: it asks nginx for a file.
const busyboxInit = `#!/bin/sh
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
for module in virtio_pci virtio_net af_packet; do modprobe $module; done
until [ -e /sys/class/net/eth0 ]; do sleep 0.1; done
ip link set eth0 up
udhcpc -i eth0 -n -q -t 20 -T 1 -s /udhcpc && busybox wget -q -O /dev/null http://10.77.0.1/report && echo "busybox: reported"
while true; do sleep 60; done
`

// makeBusybox makes the peers' kernel and RAM disk in a folder.
const makeBusybox = `mkdir root && tar -xf "$1" -C root ./bin ./sbin ./lib ./boot && mv root/boot/vmlinuz-* vmlinuz && rm -r root/boot
mkdir -p root/proc root/sys root/dev && printf %s "$2" >root/init
printf '#!/bin/sh\n[ "$1" = bound ] && ip addr add $ip/$mask dev $interface\n' >root/udhcpc && chmod 755 root/init root/udhcpc
(cd root && find . | cpio --quiet -o -H newc -R 0:0) | gzip -9n >ramdisk && rm -r root`

// makeCertificate makes an authority that is the server's certificate too.
const makeCertificate = `openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=peer -addext subjectAltName=IP:10.77.0.1
cert-to-efi-sig-list cert.pem ca.esl`

// newPeers starts dnsmasq and nginx on a network of their own, where dnsmasq may be an IPv6
// router.
func newPeers(b *testing.B, arch bed.Arch, https, router bool) *peers {
	b.Helper()
	ctx, stop := context.WithTimeout(b.Context(), patience)
	b.Cleanup(stop)
	network, err := bed.NewNetwork(ctx)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = network.Close() })
	if out, err := network.Command(ctx, "ip", "addr", "add", "fd77::1/64", "dev", bed.Bridge, "nodad").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	p := &peers{ctx: ctx, network: network, dir: b.TempDir()}
	p.writeFiles(b, arch)
	base, secure := "http://10.77.0.1", ""
	if https {
		p.shell(b, makeCertificate)
		p.authorities = filepath.Join(p.dir, "ca.esl")
		base = "https://10.77.0.1"
		secure = "listen 10.77.0.1:443 ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem; ssl_protocols TLSv1.2; ssl_ciphers AES128-GCM-SHA256;"
	}
	p.write(b, "nginx.conf", fmt.Sprintf(nginxFiles, p.dir, secure))
	p.start(b, nginxProgram(b), "-c", filepath.Join(p.dir, "nginx.conf"), "-p", p.dir)
	config := fmt.Sprintf(dnsmasqBoot, p.dir, base)
	if router {
		config += dnsmasqRouter
	}
	p.write(b, "dnsmasq.conf", config)
	p.start(b, "dnsmasq", "--keep-in-foreground", "--conf-file="+filepath.Join(p.dir, "dnsmasq.conf"))
	return p
}

// nginxFiles is nginx as its documentation advises it for static files. It has
// the folder, and words for HTTPS.
const nginxFiles = `daemon off; user root; worker_processes auto; pid %[1]s/pid; error_log stderr;
events { worker_connections 1024; }
http {
	access_log off; sendfile on; tcp_nopush on;
	client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
	server { listen 10.77.0.1:80; %[2]s root %[1]s/files; }
}
`

// dnsmasqBoot has the folder, and the URL of nginx for UEFI HTTP Boot. dnsmasq cannot
// know whether a machine has Secure Boot, so first.efi is a link. Option 175.176 keeps
// an iPXE from waiting for a proxy.
const dnsmasqBoot = `port=0
interface=br0
user=root
pid-file=
dhcp-leasefile=%[1]s/leases
dhcp-range=10.77.0.50,10.77.0.90,255.255.255.0,1h
enable-tftp
tftp-root=%[1]s/files
dhcp-userclass=set:ipxe,iPXE
dhcp-match=set:http,option:client-arch,16
dhcp-match=set:uefi,option:client-arch,7
dhcp-match=set:uefi,option:client-arch,11
dhcp-option-force=tag:ipxe,encap:175,176,1b
dhcp-option-force=tag:http,60,HTTPClient
dhcp-boot=tag:ipxe,http://10.77.0.1/script
dhcp-boot=tag:http,tag:!ipxe,%[2]s/snponly.efi
dhcp-boot=tag:uefi,tag:!ipxe,first.efi
`

// dnsmasqRouter has dnsmasq advertise a prefix.
const dnsmasqRouter = `enable-ra
dhcp-range=fd77::,ra-only
`

// writeFiles fills the folder "files" with what both serve.
func (p *peers) writeFiles(b *testing.B, arch bed.Arch) {
	b.Helper()
	image, console := small, "console=ttyS0"
	if arch == bed.ARM64 {
		var err error
		if image, err = smallCloudlet(p.ctx, bed.CloudKernel, bed.ARM64); err != nil {
			b.Fatal(err)
		}
		console = "console=ttyAMA0"
	}
	files := filepath.Join(p.dir, "files")
	if err := os.MkdirAll(filepath.Join(files, "grub"), 0o755); err != nil {
		b.Fatal(err)
	}
	for name, from := range bootloaders {
		if err := copyFile(from, filepath.Join(files, name)); err != nil {
			b.Fatalf("%v (Debian packages ipxe, shim-signed and grub-efi-amd64-signed; make bin/arm64)", err)
		}
	}
	for name, text := range busyboxFiles {
		p.write(b, filepath.Join("files", name), strings.ReplaceAll(text, "%s", console))
	}
	p.shell(b, "cd files && "+makeBusybox, image, busyboxInit)
}

// startsWith names the file that UEFI firmware gets by PXE.
func (p *peers) startsWith(b *testing.B, loader string) {
	b.Helper()
	if err := os.Symlink(loader, filepath.Join(p.dir, "files", "first.efi")); err != nil {
		b.Fatal(err)
	}
}

func (p *peers) write(b *testing.B, name, text string) {
	b.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
}

func (p *peers) shell(b *testing.B, script string, args ...string) {
	b.Helper()
	cmd := exec.CommandContext(p.ctx, "sh", append([]string{"-ec", script, "sh"}, args...)...)
	cmd.Dir = p.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v: %s", script, err, out)
	}
}

// start starts a server on the network. It ends with the benchmark.
func (p *peers) start(b *testing.B, name string, args ...string) {
	b.Helper()
	cmd := p.network.Command(context.WithoutCancel(p.ctx), name, args...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatalf("start %s: %v", name, err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
}
