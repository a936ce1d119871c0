package azure

import (
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"purser"
)

// DefaultCredential is what stands in for a credential that is not given.
func DefaultCredential(o azcore.ClientOptions) (azcore.TokenCredential, error) {
	return defaultCredential(o)
}

// KnownCodes gives the code, the words and the kind of each row of the table of codes.
func KnownCodes() (out [][3]string) {
	for _, c := range codes() {
		out = append(out, [3]string{c.code, c.words, string(c.means.kind)})
	}
	return out
}

// Image is the image that an offer's machine boots, as a URN or an id.
func (p *Provider) Image(o purser.Offer) (string, error) {
	ref, err := p.image(o)
	if err != nil {
		return "", err
	}
	if urn := value(ref.Publisher) + ":" + value(ref.Offer) + ":" + value(ref.SKU) + ":" + value(ref.Version); urn != ":::" {
		return urn, nil
	}
	return value(ref.ID) + value(ref.CommunityGalleryImageID) + value(ref.SharedGalleryImageID), nil
}
