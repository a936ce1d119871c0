import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { newQueryClient } from "./api/queries";
import { signInByLink } from "./api/session";
import { App } from "./app";
import { startTheme } from "./ui/hooks";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/tables.css";
import "./styles/panels.css";
import "./styles/machines.css";
import "./styles/market.css";
import "./styles/drawer.css";

startTheme();

const root = document.getElementById("root");
if (root === null) throw new Error("the page has no root");

const queries = newQueryClient();
await signInByLink(location, history);
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <App />
    </QueryClientProvider>
  </StrictMode>,
);
