/**
 * The form that asks where a packet goes, and its answer.
 *
 * @module
 */

import type { FC } from "hono/jsx";
import { formatSocketAddress } from "../../net/address.ts";
import type { ExplanationView } from "../explanation.ts";
import type { ProblemView, Reply } from "./client.ts";
import { Agreement, Chances, Steps, VerdictLine } from "./explanation.tsx";
import { PathDrawing } from "./path/drawing.tsx";
import { pathOf } from "./path/path.ts";
import { Problem } from "./parts.tsx";

/** The fields of the form, as they were typed. */
export interface PacketForm {
  readonly source: string;
  readonly sourcePort: string;
  readonly dest: string;
  readonly port: string;
  readonly protocol: string;
  readonly rules: string;
}

/** A form that nobody has filled in yet. */
export const EMPTY_FORM: PacketForm = {
  source: "",
  sourcePort: "",
  dest: "",
  port: "",
  protocol: "TCP",
  rules: "synced",
};

interface FieldProps {
  readonly name: keyof PacketForm;
  readonly label: string;
  readonly form: PacketForm;
  readonly problem: ProblemView | null;
  readonly example?: string;
  readonly numeric?: boolean;
  readonly required?: boolean;
}

const Field: FC<FieldProps> = ({ name, label, form, problem, example, numeric, required }) => {
  const wrong = problem?.field === name;
  return (
    <div class={wrong ? "field wrong" : "field"}>
      <label for={name}>{label}</label>
      <input
        id={name}
        name={name}
        value={form[name]}
        placeholder={example}
        inputmode={numeric ? "numeric" : undefined}
        required={required}
        maxlength={64}
        autocomplete="off"
        autocapitalize="off"
        spellcheck={false}
        aria-invalid={wrong ? "true" : undefined}
        aria-describedby={wrong ? `${name}-problem` : undefined}
      />
      {wrong && <p class="hint bad" id={`${name}-problem`}>{problem.message}</p>}
    </div>
  );
};

const Choice: FC<{
  name: keyof PacketForm;
  label: string;
  form: PacketForm;
  options: readonly (readonly [value: string, text: string])[];
}> = ({ name, label, form, options }) => (
  <div class="field">
    <label for={name}>{label}</label>
    <select id={name} name={name}>
      {options.map(([value, text]) => (
        <option value={value} selected={form[name] === value}>{text}</option>
      ))}
    </select>
  </div>
);

const Answer: FC<{ form: PacketForm; explanation: ExplanationView }> = (
  { form, explanation },
) => {
  const client = { title: "Client", detail: form.source };
  const dialled = `${formatSocketAddress(form.dest, Number(form.port))}/${form.protocol}`;
  const frontend = { title: explanation.frontend ?? "Destination", detail: dialled };
  return (
    <>
      <h2>Answer</h2>
      <VerdictLine explanation={explanation} />
      <PathDrawing path={pathOf(explanation, client, frontend, new Map())} />
      <Agreement explanation={explanation} />
      <Chances explanation={explanation} />
      <h3>Step by step</h3>
      <Steps explanation={explanation} />
    </>
  );
};

/** The page; `reply` is null as long as nothing was asked. */
export const ExplainPage: FC<{
  form: PacketForm;
  example: Partial<PacketForm>;
  rules: boolean;
  reply: Reply<ExplanationView> | null;
}> = ({ form, example, rules, reply }) => {
  const problem = reply === null || reply.ok ? null : reply.problem;
  return (
    <div id="explain">
      <h1>Where does this packet go, and why?</h1>
      <form
        class="packet"
        action="/explain"
        method="get"
        hx-get="/explain"
        hx-target="#explain"
        hx-select="#explain"
        hx-push-url="true"
      >
        <Field
          name="source"
          label="Source address"
          form={form}
          problem={problem}
          example={example.source}
          required
        />
        <Field
          name="sourcePort"
          label="Source port (any)"
          form={form}
          problem={problem}
          numeric
        />
        <Field
          name="dest"
          label="Destination address"
          form={form}
          problem={problem}
          example={example.dest}
          required
        />
        <Field
          name="port"
          label="Port"
          form={form}
          problem={problem}
          example={example.port}
          numeric
          required
        />
        <Choice
          name="protocol"
          label="Protocol"
          form={form}
          options={[["TCP", "TCP"], ["UDP", "UDP"], ["SCTP", "SCTP"]]}
        />
        {rules && (
          <Choice
            name="rules"
            label="Rules"
            form={form}
            options={[["synced", "of the last sync"], ["node", "on the node this moment"]]}
          />
        )}
        <button type="submit">Explain</button>
      </form>
      <section id="answer" aria-live="polite" aria-label="Answer">
        {problem !== null && problem.field === null && <Problem problem={problem} />}
        {reply?.ok && <Answer form={form} explanation={reply.body} />}
      </section>
    </div>
  );
};
