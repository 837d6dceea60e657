// An OpenID Connect provider that is not ours (npm's oidc-provider), with one form to sign in.
//
//     node provider.mjs PORT '{"clients": [...], "acr": "loa3", "amr": ["pwd", "otp"]}'
//
// It makes its keys when it starts, so after a restart they are others. The form takes any name for an account, and signs
// in with the second factor (`acr` and `amr` as wished) or without (`loa1`, `["pwd"]`). Code flow with PKCE only. It says
// "listening" when it does.
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import Provider from "oidc-provider";

const [port, wishes] = process.argv.slice(2);
const { clients, acr = "loa3", amr = ["pwd", "otp"], claim = "personnel_number" } = JSON.parse(wishes);
const issuer = `http://127.0.0.1:${port}`;

const kid = () => randomBytes(6).toString("hex");
const jwk = (kind, options, alg) => ({
  ...generateKeyPairSync(kind, options).privateKey.export({ format: "jwk" }),
  kid: kid(),
  alg,
  use: "sig",
});

const provider = new Provider(issuer, {
  clients,
  jwks: {
    keys: [
      jwk("rsa", { modulusLength: 2048 }, "RS256"),
      jwk("rsa", { modulusLength: 2048 }, "PS256"),
      jwk("ec", { namedCurve: "P-256" }, "ES256"),
      jwk("ed25519", {}, "EdDSA"),
    ],
  },
  cookies: { keys: [randomBytes(32).toString("hex")] },
  acrValues: [acr, "loa1"],
  claims: { openid: ["sub", "acr", "amr", claim] },
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  enabledJWA: { idTokenSigningAlgValues: ["RS256", "PS256", "ES256", "EdDSA"] },
  ttl: { AccessToken: 600, AuthorizationCode: 60, IdToken: 600, Interaction: 600, Session: 600, Grant: 600 },
  features: {
    devInteractions: { enabled: false },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) => {
        ctx.body = page(`${form}<button form="op.logoutForm" name="logout" value="yes">Sign out</button>`);
      },
    },
  },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: `sub-of-${id}`.slice(0, 64), [claim]: id }) }),
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({
      clientId: ctx.oidc.client.clientId,
      accountId: ctx.oidc.session.accountId,
    });
    grant.addOIDCScope("openid");
    await grant.save();
    return grant;
  },
});

const page = (body) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>Provider</title>${body}</html>`;
const form = (action) =>
  page(`<form method="post" action="${action}"><label>Name <input name="account" required></label>
<label><input type="checkbox" name="factor" value="yes" checked> with the second factor</label>
<button>Sign in</button> <button name="cancel" value="yes" formnovalidate>Cancel</button></form>`);

async function interact(request, response) {
  if (request.method === "GET") {
    response.setHeader("content-type", "text/html");
    response.end(form(request.url));
    return;
  }
  let body = "";
  for await (const part of request) body += part;
  const given = new URLSearchParams(body);
  const both = given.get("factor") === "yes";
  const login = { accountId: given.get("account"), acr: both ? acr : "loa1", amr: both ? amr : ["pwd"] };
  const result = given.has("cancel") ? { error: "access_denied", error_description: "cancelled" } : { login };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

const answer = provider.callback();
const server = createServer((request, response) => {
  if (!request.url.startsWith("/interaction/")) return answer(request, response);
  return interact(request, response).catch((error) => {
    response.statusCode = 500;
    response.end(String(error));
  });
});
server.listen(Number(port), "127.0.0.1", () => console.log("listening"));
process.on("SIGTERM", () => process.exit(0));
