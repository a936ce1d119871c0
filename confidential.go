package purser

import "regexp"

// confidentialTypes are by provider the instance types that can run as a confidential machine: its memory is encrypted and its state
// attested against the one who runs the host. They are the types that the providers' documentation lists:
//
//   - aws: AMD SEV-SNP on m6a, c6a and r6a up to the sizes below. Nitro Enclaves are not counted: a task runs beside an enclave, not in one.
//   - gcp: AMD SEV on n2d, c2d, c3d and c4d, Intel TDX on c3-standard, and the H100 of a3-highgpu-1g with Intel TDX.
//   - azure: AMD SEV-SNP and Intel TDX on the DC and EC sizes of versions 5 and 6, and the H100 of the NCC sizes. Sizes for nested
//     machines (cc) and for SGX enclaves are not counted.
//
// A type that is not here counts as one that cannot.
var confidentialTypes = map[string]*regexp.Regexp{
	"aws":   regexp.MustCompile(`^(m6a\.(large|xlarge|2xlarge|4xlarge|8xlarge)|c6a\.(large|xlarge|2xlarge|4xlarge|8xlarge|12xlarge|16xlarge)|r6a\.(large|xlarge|2xlarge|4xlarge))$`),
	"gcp":   regexp.MustCompile(`^((n2d|c2d|c3d|c4d)-|c3-standard-[0-9]+$|a3-highgpu-1g$)`),
	"azure": regexp.MustCompile(`^(Standard_)?((DC|EC)[0-9]+(as|ads|es|eds)_v[56]|NCC[0-9]+ads_H100_v5)$`),
}

// ConfidentialType says whether an instance type can run as a confidential machine.
func ConfidentialType(provider, instanceType string) bool {
	form := confidentialTypes[provider]
	return form != nil && form.MatchString(instanceType)
}
