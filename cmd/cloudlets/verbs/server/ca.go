package server

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/ask"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/outfile"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/provision/authority"
	"cloudlets/web/api"
)

// caFlags say which authority is printed, and how.
type caFlags struct {
	out          outfile.Flags
	format       string
	next, asJSON bool
}

func caCommand(socket *string) *cobra.Command {
	var f caFlags
	cmd := &cobra.Command{
		Use: "ca", Short: "Print the certificate that firmware has to trust for HTTPS Boot", Args: exit.ExactArgs(0),
		Long: `Ca prints the certificate of the authority that vouches for the servers of
this site: see "https" in cloudlets.json. Enrol it in the firmware of your
machines, and only then write "https": true into their files, or
"https": {"firmware": true} into cloudlets.json. The agent needs no such step.

The formats are pem, der, and esl: an EFI signature list, as some firmware and
QEMU's fw_cfg take it.

With --next it prints the authority that follows, and makes it if there is
none. Nothing uses it until cloudlets.json says so by its "generation", so
that you can enrol it before.`,
		Example: `  cloudlets ca --out ca.pem
  cloudlets ca --format der >ca.cer
  cloudlets ca --format esl --out ca.esl && qemu-system-x86_64 -fw_cfg name=etc/edk2/https/cacerts,file=ca.esl …
  cloudlets ca --json`,
		RunE: ask.Daemon(socket, func(cmd *cobra.Command, c *api.Client, _ []string) error { return f.print(cmd, c) }),
	}
	f.out.Add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.format, "format", "pem", "the `form` of the certificate: pem, der or esl")
	flags.BoolVar(&f.next, "next", false, "the authority of the next generation")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON, with the fingerprint")
	cmd.MarkFlagsMutuallyExclusive("json", "format")
	cmd.MarkFlagsMutuallyExclusive("json", "out")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]cobra.Completion{"pem", "der", "esl"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (f *caFlags) print(cmd *cobra.Command, c *api.Client) error {
	encode, known := map[string]func(*x509.Certificate) []byte{
		"pem": authority.PEM, "esl": authority.SignatureList,
		"der": func(c *x509.Certificate) []byte { return c.Raw },
	}[f.format]
	if !known {
		return exit.With(fmt.Errorf("--format: %q is no form of a certificate; want pem, der or esl", f.format), exit.Usage)
	}
	ask := c.Authority
	if f.next {
		ask = c.NextAuthority
	}
	answer, err := ask(cmd.Context())
	if err != nil {
		return err
	}
	if f.asJSON {
		return printing.JSON(cmd.OutOrStdout(), answer)
	}
	block, _ := pem.Decode([]byte(answer.PEM))
	if block == nil {
		return errors.New("read the daemon's certificate: it is not in PEM form; does the daemon have another version?")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("read the daemon's certificate: %w", err)
	}
	if f.format == "pem" && f.out.Out == "-" { // text, for terminals too
		_, err := cmd.OutOrStdout().Write(encode(certificate))
		return err
	}
	return f.out.Write(cmd, func(_ context.Context, w io.Writer) error {
		_, err := w.Write(encode(certificate))
		return err
	})
}
