// Shows the OpenAPI document of this instance with Swagger UI, whose files come from this server, too.
"use strict";

SwaggerUIBundle({
    url: document.body.dataset.document,
    domNode: document.getElementById("operations"),
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    defaultModelRendering: "model",
    filter: true,
    tryItOutEnabled: false,
    validatorUrl: null,
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
});
