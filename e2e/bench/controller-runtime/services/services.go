// Package services talks to the services that the controller runs.
package services

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Source of what a VirtualStock declares.
const Source = "virtualstock"

// StockSummary is the ledger, as inventory-service sums it up.
type StockSummary struct {
	Version string `json:"version"`
	Totals  struct {
		Real, Reserved, Available, ActiveReservations, Products int64
	} `json:"totals"`
	Invariants struct {
		Balanced   bool     `json:"balanced"`
		Violations []string `json:"violations"`
	} `json:"invariants"`
	Products []ProductSummary `json:"products"`
}

// ProductSummary is one product of it.
type ProductSummary struct {
	ProductID string `json:"productId"`
	Name      string `json:"name"`
	UnitPrice struct {
		Value string `json:"value"`
	} `json:"unitPrice"`
	Real              int64            `json:"real"`
	Reserved          int64            `json:"reserved"`
	Available         int64            `json:"available"`
	LowStock          bool             `json:"lowStock"`
	LowStockThreshold int64            `json:"lowStockThreshold"`
	Received          map[string]int64 `json:"received"`
}

// OrderSummary has orders by their state.
type OrderSummary struct {
	Version   string `json:"version"`
	Pending   int64  `json:"pending"`
	Confirmed int64  `json:"confirmed"`
	Rejected  int64  `json:"rejected"`
	Cancelled int64  `json:"cancelled"`
}

// Declaration is one product as it should be.
type Declaration struct {
	ID                string `json:"-"`
	Name              string `json:"name"`
	UnitPrice         string `json:"unitPrice"`
	Received          int64  `json:"received"`
	LowStockThreshold int64  `json:"lowStockThreshold"`
}

// IsMetBy tells whether the ledger already has it so.
func (d Declaration) IsMetBy(product ProductSummary) bool {
	received, known := product.Received[Source]
	return product.Name == d.Name && product.UnitPrice.Value == d.UnitPrice && known && received == d.Received &&
		product.LowStockThreshold == d.LowStockThreshold
}

// Refused is an answer that is no success.
type Refused struct {
	Status       int
	Code, Detail string
}

func (e *Refused) Error() string { return fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Detail) }

// Client calls services.
type Client struct {
	// Template of a service's address, with {service} and {namespace} in it.
	Template string
	HTTP     *http.Client
}

// NewClient makes one whose connections are kept: as many as there are services.
func NewClient(template string) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 100
	transport.IdleConnTimeout = 30 * time.Second
	return &Client{Template: template, HTTP: &http.Client{Transport: transport}}
}

// Address of a service.
func (c *Client) Address(namespace, service string) string {
	return strings.NewReplacer("{namespace}", namespace, "{service}", service).Replace(c.Template)
}

// Get asks.
func (c *Client) Get(ctx context.Context, url string, into any) error {
	return c.call(ctx, http.MethodGet, url, nil, into)
}

// Declare puts one product.
func (c *Client) Declare(ctx context.Context, address string, declaration Declaration) error {
	body, err := json.Marshal(declaration)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return c.call(ctx, http.MethodPut, address+"/v1/stock/"+declaration.ID, body, nil)
}

func (c *Client) call(ctx context.Context, method, url string, body []byte, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if method == http.MethodPut {
		request.Header.Set("X-Stock-Source", Source)
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		refused := &Refused{Status: response.StatusCode}
		var problem struct{ Code, Detail string }
		if err := json.NewDecoder(response.Body).Decode(&problem); err == nil {
			refused.Code, refused.Detail = problem.Code, problem.Detail
		}
		return refused
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(into)
}

// LogReport is what a service finds in the log.
type LogReport struct {
	Intact bool `json:"intact"`
}
