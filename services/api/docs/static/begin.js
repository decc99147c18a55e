// Shows the calls of /openapi.json. The key that a visitor enters stays in this page.
"use strict";
SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#calls", deepLinking: true, docExpansion: "list", defaultModelsExpandDepth: 0,
  persistAuthorization: false, validatorUrl: null,
});
