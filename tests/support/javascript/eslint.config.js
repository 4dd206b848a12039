// The scripts of the live figures are classic ones, with one global name.
import js from "@eslint/js";
import jsdoc from "eslint-plugin-jsdoc";
import globals from "globals";

const described = {
	require: { ClassDeclaration: true, FunctionDeclaration: true, MethodDefinition: true },
	contexts: ["PropertyDefinition[value.type=/Function/]"],
	checkConstructors: false,
	enableFixer: false,
};

export default [
	js.configs.recommended,
	{
		languageOptions: { sourceType: "script", globals: { ...globals.browser, cnnviz: "readonly" } },
		linterOptions: { reportUnusedDisableDirectives: "error" },
		rules: {
			curly: ["error", "multi-line"],
			eqeqeq: "error",
			"no-shadow-restricted-names": "error",
			"no-unused-vars": ["error", { argsIgnorePattern: "^_", ignoreRestSiblings: true }],
			"no-var": "error",
			"object-shorthand": "error",
			"prefer-const": ["error", { destructuring: "all" }],
			"prefer-template": "error",
			strict: ["error", "global"],
		},
	},
	{
		// What the figures share says what it does.
		files: ["**/{arithmetic,drawing,pictures,figure}.js"],
		plugins: { jsdoc },
		rules: { "jsdoc/require-jsdoc": ["error", described] },
	},
];
