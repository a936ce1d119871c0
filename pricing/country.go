package pricing

import "strings"

// Country gives the country that a provider's region lies in, as ISO 3166 alpha-2,
// or "" where it is not known, so that no residency rule is satisfied by a guess.
// The tables are the providers' public lists of regions.
func Country(provider, region string) string {
	if provider == "runpod" {
		return runpodCountry(region)
	}
	for _, c := range countries[provider] {
		if containsWord(c.regions, region) {
			return c.code
		}
	}
	return ""
}

// KnownProvider says whether name is a provider whose regions Purser knows.
func KnownProvider(name string) bool {
	_, ok := countries[name]
	return ok || name == "runpod"
}

// runpodCountry reads regions that are countries (CA), and data centres named by
// country (US-KS-2) or by continent and country (EU-RO-1, EUR-IS-1, OC-AU-1).
func runpodCountry(region string) string {
	first, rest, _ := strings.Cut(region, "-")
	if containsWord("EU EUR AP SEA OC", first) {
		first, _, _ = strings.Cut(rest, "-")
	}
	if len(first) != 2 || strings.ToUpper(first) != first {
		return ""
	}
	return first
}

// containsWord says whether word is one of the words of a list with single
// spaces between.
func containsWord(list, word string) bool {
	for word != "" && list != "" {
		var next string
		next, list, _ = strings.Cut(list, " ")
		if next == word {
			return true
		}
	}
	return false
}

type countryRegions struct{ code, regions string }

var countries = map[string][]countryRegions{
	"aws": {
		{"US", "us-east-1 us-east-2 us-west-1 us-west-2 us-gov-east-1 us-gov-west-1"},
		{"CA", "ca-central-1 ca-west-1"},
		{"MX", "mx-central-1"},
		{"BR", "sa-east-1"},
		{"DE", "eu-central-1 eusc-de-east-1"},
		{"CH", "eu-central-2"},
		{"IE", "eu-west-1"},
		{"GB", "eu-west-2"},
		{"FR", "eu-west-3"},
		{"SE", "eu-north-1"},
		{"IT", "eu-south-1"},
		{"ES", "eu-south-2"},
		{"IL", "il-central-1"},
		{"AE", "me-central-1"},
		{"BH", "me-south-1"},
		{"ZA", "af-south-1"},
		{"HK", "ap-east-1"},
		{"TW", "ap-east-2"},
		{"JP", "ap-northeast-1 ap-northeast-3"},
		{"KR", "ap-northeast-2"},
		{"IN", "ap-south-1 ap-south-2"},
		{"SG", "ap-southeast-1"},
		{"AU", "ap-southeast-2 ap-southeast-4"},
		{"ID", "ap-southeast-3"},
		{"MY", "ap-southeast-5"},
		{"NZ", "ap-southeast-6"},
		{"TH", "ap-southeast-7"},
		{"CN", "cn-north-1 cn-northwest-1"},
	},
	"gcp": {
		{"US", "us-central1 us-central2 us-east1 us-east4 us-east5 us-south1 us-west1 us-west2 us-west3 us-west4"},
		{"CA", "northamerica-northeast1 northamerica-northeast2"},
		{"MX", "northamerica-south1"},
		{"BR", "southamerica-east1"},
		{"CL", "southamerica-west1"},
		{"BE", "europe-west1"},
		{"GB", "europe-west2"},
		{"DE", "europe-west3 europe-west10"},
		{"NL", "europe-west4"},
		{"CH", "europe-west6"},
		{"IT", "europe-west8 europe-west12"},
		{"FR", "europe-west9"},
		{"PL", "europe-central2"},
		{"FI", "europe-north1"},
		{"SE", "europe-north2"},
		{"ES", "europe-southwest1"},
		{"QA", "me-central1"},
		{"SA", "me-central2"},
		{"IL", "me-west1"},
		{"ZA", "africa-south1"},
		{"TW", "asia-east1"},
		{"HK", "asia-east2"},
		{"JP", "asia-northeast1 asia-northeast2"},
		{"KR", "asia-northeast3"},
		{"IN", "asia-south1 asia-south2"},
		{"SG", "asia-southeast1"},
		{"ID", "asia-southeast2"},
		{"TH", "asia-southeast3"},
		{"AU", "australia-southeast1 australia-southeast2"},
	},
	"azure": {
		{"US", "eastus eastus2 eastus3 centralus northcentralus southcentralus westcentralus westus westus2 westus3 usgovarizona usgovtexas usgovvirginia usdodcentral usdodeast"},
		{"CA", "canadacentral canadaeast"},
		{"MX", "mexicocentral"},
		{"BR", "brazilsouth brazilsoutheast"},
		{"CL", "chilecentral"},
		{"IE", "northeurope"},
		{"NL", "westeurope"},
		{"GB", "uksouth ukwest"},
		{"FR", "francecentral francesouth"},
		{"DE", "germanywestcentral germanynorth"},
		{"CH", "switzerlandnorth switzerlandwest"},
		{"SE", "swedencentral swedensouth"},
		{"NO", "norwayeast norwaywest"},
		{"DK", "denmarkeast"},
		{"AT", "austriaeast"},
		{"BE", "belgiumcentral"},
		{"IT", "italynorth"},
		{"ES", "spaincentral"},
		{"PL", "polandcentral"},
		{"IL", "israelcentral"},
		{"QA", "qatarcentral"},
		{"AE", "uaenorth uaecentral"},
		{"ZA", "southafricanorth southafricawest"},
		{"HK", "eastasia"},
		{"SG", "southeastasia"},
		{"JP", "japaneast japanwest"},
		{"KR", "koreacentral koreasouth"},
		{"TW", "taiwannorth taiwannorthwest"},
		{"IN", "centralindia southindia westindia jioindiacentral jioindiawest"},
		{"ID", "indonesiacentral"},
		{"MY", "malaysiawest"},
		{"AU", "australiaeast australiasoutheast australiacentral australiacentral2"},
		{"NZ", "newzealandnorth"},
		{"CN", "chinaeast chinaeast2 chinaeast3 chinanorth chinanorth2 chinanorth3"},
	},
	"oci": {
		{"US", "us-ashburn-1 us-chicago-1 us-phoenix-1 us-sanjose-1 us-saltlake-2"},
		{"CA", "ca-montreal-1 ca-toronto-1"},
		{"MX", "mx-queretaro-1 mx-monterrey-1"},
		{"BR", "sa-saopaulo-1 sa-vinhedo-1"},
		{"CL", "sa-santiago-1 sa-valparaiso-1"},
		{"CO", "sa-bogota-1"},
		{"NL", "eu-amsterdam-1"},
		{"DE", "eu-frankfurt-1"},
		{"ES", "eu-madrid-1 eu-madrid-3"},
		{"FR", "eu-marseille-1 eu-paris-1"},
		{"IT", "eu-milan-1 eu-turin-1"},
		{"SE", "eu-stockholm-1"},
		{"CH", "eu-zurich-1"},
		{"RS", "eu-jovanovac-1"},
		{"GB", "uk-cardiff-1 uk-london-1"},
		{"IL", "il-jerusalem-1"},
		{"AE", "me-abudhabi-1 me-dubai-1"},
		{"SA", "me-jeddah-1 me-riyadh-1"},
		{"ZA", "af-johannesburg-1"},
		{"MA", "af-casablanca-1"},
		{"KR", "ap-chuncheon-1 ap-seoul-1"},
		{"IN", "ap-hyderabad-1 ap-mumbai-1"},
		{"AU", "ap-melbourne-1 ap-sydney-1"},
		{"JP", "ap-osaka-1 ap-tokyo-1"},
		{"SG", "ap-singapore-1 ap-singapore-2"},
		{"ID", "ap-batam-1"},
	},
	// europe-south-1 is on Lambda's list without a country.
	"lambda": {
		{"US", "us-east-1 us-east-2 us-east-3 us-midwest-1 us-midwest-2 us-south-1 us-south-2 us-south-3 us-west-1 us-west-2 us-west-3"},
		{"DE", "europe-central-1"},
		{"IL", "me-west-1"},
		{"IN", "asia-south-1"},
		{"JP", "asia-northeast-1 asia-northeast-2"},
		{"AU", "australia-southeast-1 australia-east-1"},
	},
	"crusoe": {{"US", "us-east1 us-northcentral1 us-southcentral1 us-west1"}, {"IS", "eu-iceland1"}, {"NO", "eu-norway1"}},
}
