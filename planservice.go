package purser

// ServicePlan says how a plan serves one inference group. Rates are in requests per
// second, or in replicas where the group has no demand.
type ServicePlan struct {
	Job      JobID   `json:"job"`
	Group    string  `json:"group"`
	Replicas int     `json:"replicas"`
	Demand   float64 `json:"demand"`
	Served   float64 `json:"served"` // what all replicas can serve

	// The worst loss of the domains that the group has to survive; of one zone where it
	// has to survive nothing. Lost is Served less what is left.
	Level DomainLevel `json:"level"`
	Worst []string    `json:"worst"` // domains; of machines, the held lease or the offer
	Lost  float64     `json:"lost"`
	Left  float64     `json:"left"`

	// With θ the rate of a replica and a load in proportion to its weight, T = load/θ is
	// how busy it is. No replica is busier than Load + Imbalance.
	Load      float64         `json:"load"`      // Demand / Served
	Imbalance float64         `json:"imbalance"` // ε = max T − Load, the least that whole weights up to MaxWeight allow
	Weights   []ReplicaWeight `json:"weights"`   // by variant
}

// ReplicaWeight is the traffic weight of each replica of a variant.
type ReplicaWeight struct {
	Variant  string `json:"variant"`
	Replicas int    `json:"replicas"`
	Weight   int    `json:"weight"` // 1 to MaxWeight
}

// MaxWeight is the largest weight that the common load balancers of clouds take.
const MaxWeight = 999
