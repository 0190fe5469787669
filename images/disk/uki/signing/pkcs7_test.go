package signing

import (
	"bytes"
	"encoding/asn1"
	"slices"
	"testing"
	"time"

	"github.com/sassoftware/relic/v8/lib/pkcs7"

	"cloudlets/images/imagetest"
)

// TestSignedAttributes checks that the signature holds exactly the attributes
// that Authenticode requires, in DER's order. A signing time in particular
// would make every signature different.
func TestSignedAttributes(t *testing.T) {
	keyPEM, certPEM := imagetest.SigningPair(t, time.Now().Add(time.Hour))
	key, err := NewKey(keyPEM, certPEM, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	der, err := key.signature(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	message, err := pkcs7.Unmarshal(der)
	if err != nil {
		t.Fatal(err)
	}
	var encoded [][]byte
	var got []string
	for _, a := range message.Content.SignerInfos[0].AuthenticatedAttributes {
		got = append(got, a.Type.String())
		b, err := asn1.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		encoded = append(encoded, b)
	}
	want := []string{oidOpusInfo.String(), pkcs7.OidAttributeContentType.String(), pkcs7.OidAttributeMessageDigest.String()}
	if !slices.Equal(got, want) {
		t.Errorf("the signed attributes are %v, want %v", got, want)
	}
	if !slices.IsSortedFunc(encoded, bytes.Compare) {
		t.Errorf("the signed attributes are not in DER's order: %x", encoded)
	}
}
