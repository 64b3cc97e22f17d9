-- SPDX-License-Identifier: Apache-2.0
--
-- Executions of one export of a workflow. Those started by the bare name of the module ('', most of
-- them) are not in it: their starts are not to pay for it.

CREATE INDEX durable_of_export ON durable (function_id, export_name) WHERE export_name <> '';
