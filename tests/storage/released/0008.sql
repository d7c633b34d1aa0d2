BEGIN TRANSACTION;
CREATE TABLE access_keys (
	prefix VARCHAR(32) NOT NULL, 
	name TEXT NOT NULL, 
	scope VARCHAR(16) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	created_at DATETIME NOT NULL, 
	expires_at DATETIME, 
	revoked_at DATETIME, 
	used_at DATETIME, 
	minute INTEGER DEFAULT '0' NOT NULL, 
	requests INTEGER DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_access_keys PRIMARY KEY (prefix)
);
INSERT INTO "access_keys" VALUES('gradbook_98088aab02c7','ci','write','bb0f2042744a81a04b7d3b66c2194e8acc200c0bda53fba399231cf0b540d1de','2026-11-29 12:35:14.767795',NULL,'2026-11-29 12:35:14.827653','2026-11-29 12:35:14.772202',29000001,5);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0008');
CREATE TABLE comparisons (
	id VARCHAR(36) NOT NULL, 
	baseline_id VARCHAR(36) NOT NULL, 
	candidate_id VARCHAR(36) NOT NULL, 
	tolerance JSON NOT NULL, 
	names JSON NOT NULL, 
	backward BOOLEAN NOT NULL, 
	verdict VARCHAR(16) NOT NULL, 
	counts JSON NOT NULL, 
	created_at DATETIME NOT NULL, rounded JSON DEFAULT '{}' NOT NULL, 
	CONSTRAINT pk_comparisons PRIMARY KEY (id), 
	CONSTRAINT fk_comparisons_baseline_id FOREIGN KEY(baseline_id) REFERENCES runs (id), 
	CONSTRAINT fk_comparisons_candidate_id FOREIGN KEY(candidate_id) REFERENCES runs (id)
);
INSERT INTO "comparisons" VALUES('01a22487-c1b9-7093-aa67-43e51146a4bb','01a22487-c1a3-73c0-be4d-ae09b54e7fa9','01a22487-c1a4-738e-994a-ea6209b39626','"float64"','{}',1,'differ','{"same": 5, "origin": 2, "inherited": 4, "compensated": 0, "convention": 0}','2026-11-28 23:40:06.458078','{}');
INSERT INTO "comparisons" VALUES('01a224a9-ae70-7669-9fc6-4735d2f500ac','01a224a9-ae6f-767a-bb97-c82394a333fa','01a224a9-ae6f-767a-bb97-c8249a3c1ada','"float64"','{}',0,'same','{"same": 3, "origin": 0, "inherited": 0, "compensated": 0, "convention": 0}','2026-11-29 00:17:09.744601','{"forward": ["y"]}');
CREATE TABLE contents (
	digest VARCHAR(64) NOT NULL, 
	node_count INTEGER NOT NULL, 
	inputs JSON NOT NULL, 
	outputs JSON NOT NULL, 
	document BLOB NOT NULL, 
	CONSTRAINT pk_contents PRIMARY KEY (digest)
);
INSERT INTO "contents" VALUES('4f09528cc3a9207273d442457bb83df4598778f4773e62cfe4cfae1abe556bf0',7,'["a", "b", "c", "d"]','["F"]',X'7801AB56CA4BCC4D2D56B28A564A54D2514A02E264204E01E254204E036237A5581DA5FC82D4A2C492CCFC3CB052CFBC82D212A0142EDA310564806F690E9074C92C831B909702D21E1DAB8340063A8640AE898E119034D5318E05DA955852529499545A0276566C2D00ED233010');
INSERT INTO "contents" VALUES('13b3d93c85c521caf7587f3c6f3e732f327177ed951a62e24bb2c5a878ce4a62',4,'["x", "w"]','["y"]',X'7801AB56CA4BCC4D2D56B28A56AA50D2512A07E2A2D49CD2784320A35229564729BF20B528B124333F0FACC633AFA0B4042805A383806A815CDFD21CB8DABC1490CAE8581D10320062231DC358A041892525459949A52560CB626B01F0D82631');
CREATE TABLE deletions (
	count BIGINT NOT NULL
);
INSERT INTO "deletions" VALUES(0);
CREATE TABLE derivative_figures (
	derivatives_id VARCHAR(36) NOT NULL, 
	number INTEGER NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	"of" TEXT, 
	wrt TEXT, 
	shape JSON NOT NULL, 
	data BLOB NOT NULL, tensor VARCHAR(64), 
	CONSTRAINT pk_derivative_figures PRIMARY KEY (derivatives_id, number), 
	CONSTRAINT fk_derivative_figures_derivatives_id FOREIGN KEY(derivatives_id) REFERENCES derivatives (id) ON DELETE CASCADE
);
INSERT INTO "derivative_figures" VALUES('01a22487-c27f-72a4-b3bf-0092ed1ddebb',0,'input','w',NULL,'[]',X'0000000000000840',NULL);
INSERT INTO "derivative_figures" VALUES('01a22487-c27f-72a4-b3bf-0092ed1ddebb',1,'input','x',NULL,'[]',X'0000000000000040',NULL);
INSERT INTO "derivative_figures" VALUES('01a22487-c27f-72a4-b3bf-0092ed1ddebb',2,'block','y','x','[]',X'0000000000000840',NULL);
INSERT INTO "derivative_figures" VALUES('01a22487-c27f-72a4-b3bf-0092ed1ddebb',3,'block','y','w','[]',X'0000000000000040',NULL);
INSERT INTO "derivative_figures" VALUES('01a22487-c2b3-7025-92c9-fb15d585e04b',0,'input','w',NULL,'[]',X'0000000000000840',NULL);
INSERT INTO "derivative_figures" VALUES('01a22487-c2b3-7025-92c9-fb15d585e04b',1,'input','x',NULL,'[]',X'0000000000000040',NULL);
INSERT INTO "derivative_figures" VALUES('01a22487-c2b3-7025-92c9-fb15d585e04b',2,'vector','x',NULL,'[]',X'000000000000F03F',NULL);
INSERT INTO "derivative_figures" VALUES('01a22487-c2b3-7025-92c9-fb15d585e04b',3,'vector','w',NULL,'[]',X'0000000000000040',NULL);
INSERT INTO "derivative_figures" VALUES('01a22487-c2b3-7025-92c9-fb15d585e04b',4,'block','y',NULL,'[]',X'0000000000001C40',NULL);
CREATE TABLE derivatives (
	id VARCHAR(36) NOT NULL, 
	graph_id VARCHAR(36) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	outputs JSON NOT NULL, 
	wrt JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_derivatives PRIMARY KEY (id), 
	CONSTRAINT fk_derivatives_graph_id FOREIGN KEY(graph_id) REFERENCES graphs (id)
);
INSERT INTO "derivatives" VALUES('01a22487-c27f-72a4-b3bf-0092ed1ddebb','01a22487-c210-76f3-b780-d8e0524c450d','jacobian','["y"]','["x", "w"]','2026-11-28 23:40:06.655846');
INSERT INTO "derivatives" VALUES('01a22487-c2b3-7025-92c9-fb15d585e04b','01a22487-c210-76f3-b780-d8e0524c450d','jvp','["y"]','["x", "w"]','2026-11-28 23:40:06.708184');
CREATE TABLE graph_tags (
	graph_id VARCHAR(36) NOT NULL, 
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_graph_tags PRIMARY KEY (graph_id, "key"), 
	CONSTRAINT fk_graph_tags_graph_id FOREIGN KEY(graph_id) REFERENCES graphs (id) ON DELETE CASCADE
);
INSERT INTO "graph_tags" VALUES('01a22487-bc17-76d2-b8f1-a181241155e6','from','the tutorial');
CREATE TABLE "graphs" (
	id VARCHAR(36) NOT NULL, 
	name TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	expression TEXT, 
	parent_id VARCHAR(36), 
	created_at DATETIME NOT NULL, 
	weights JSON, 
	parts JSON, 
	weights_digest VARCHAR(64) DEFAULT '' NOT NULL, 
	CONSTRAINT pk_graphs PRIMARY KEY (id), 
	CONSTRAINT uq_graphs_name_digest_weights_digest UNIQUE (name, digest, weights_digest), 
	CONSTRAINT fk_graphs_digest FOREIGN KEY(digest) REFERENCES contents (digest), 
	CONSTRAINT fk_graphs_parent_id FOREIGN KEY(parent_id) REFERENCES graphs (id), 
	CONSTRAINT uq_graphs_name_version UNIQUE (name, version)
);
INSERT INTO "graphs" VALUES('01a22487-bc17-76d2-b8f1-a181241155e6','seed',1,'4f09528cc3a9207273d442457bb83df4598778f4773e62cfe4cfae1abe556bf0','F(a, b, c, d) = f / d; f = e * c; e = a + b',NULL,'2026-11-28 23:40:05.015869',NULL,NULL,'');
INSERT INTO "graphs" VALUES('01a22487-c210-76f3-b780-d8e0524c450d','kinks',1,'13b3d93c85c521caf7587f3c6f3e732f327177ed951a62e24bb2c5a878ce4a62','y = relu(x) * w',NULL,'2026-11-28 23:40:06.544376',NULL,NULL,'');
INSERT INTO "graphs" VALUES('01a228e4-54b6-7176-8561-a73fb3b41935','weighted',1,'13b3d93c85c521caf7587f3c6f3e732f327177ed951a62e24bb2c5a878ce4a62','y = relu(x) * w',NULL,'2026-11-29 19:59:42.262403','{"w": "a22c3ed5a4373ff0fec0f09aab6b21632b8b3a3c211fc85b16ac748145d50fc2"}',NULL,'f9cb5ae540c13a347d0d6309e943d6f30484251c2da07551f1e0a1c026753723');
CREATE TABLE idempotency_keys (
	"key" TEXT NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	resource_id VARCHAR(36) NOT NULL, 
	status INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_idempotency_keys PRIMARY KEY ("key")
);
INSERT INTO "idempotency_keys" VALUES('the seed','ad02e0ccd8a0d9fbfbcede0a2cee9a092720f2f7d46d4ec8d29bdaa7e7554746','01a22487-bc17-76d2-b8f1-a181241155e6',201,'2026-11-28 23:40:06.363378');
CREATE TABLE run_chunks (
	run_id VARCHAR(36) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	number INTEGER NOT NULL, 
	data BLOB NOT NULL, 
	CONSTRAINT pk_run_chunks PRIMARY KEY (run_id, kind, number), 
	CONSTRAINT fk_run_chunks_run_id_kind FOREIGN KEY(run_id, kind) REFERENCES run_figures (run_id, kind) ON DELETE CASCADE
);
INSERT INTO "run_chunks" VALUES('01a22487-c1a3-73c0-be4d-ae09b54e7fa9','values',0,X'0000000000001440000000000000F03F00000000000000C000000000000008C0000000000000184000000000000028C00000000000001040');
INSERT INTO "run_chunks" VALUES('01a22487-c1a3-73c0-be4d-ae09b54e7fa9','gradients',0,X'555555555555E53F555555555555E53F00000000000000C0555555555555F53F555555555555E53F555555555555D5BF000000000000F03F');
INSERT INTO "run_chunks" VALUES('01a22487-c1a4-738e-994a-ea6209b39626','values',0,X'0000000000001440000000000000F03F00000000000000C000000000000008C0000000000000000000000000000000000000000000000000');
INSERT INTO "run_chunks" VALUES('01a22487-c1a4-738e-994a-ea6209b39626','gradients',0,X'0000000000001840000000000000184000000000000032C00000000000005B40000000000000184000000000000008C0000000000000F03F');
INSERT INTO "run_chunks" VALUES('01a22487-c250-77a1-9fe0-81e1c5b466e2','values',0,X'0000000000000000000000000000084000000000000000000000000000000000');
INSERT INTO "run_chunks" VALUES('01a22487-c250-77a1-9fe0-81e1c5b466e2','gradients',0,X'000000000000000000000000000000000000000000000840000000000000F03F');
INSERT INTO "run_chunks" VALUES('01a224a9-ae6f-767a-bb97-c82394a333fa','values',0,X'0000000000000040555555555555D53F0000000000000040555555555555E53F');
INSERT INTO "run_chunks" VALUES('01a224a9-ae6f-767a-bb97-c8249a3c1ada','values',0,X'0000000000000040555555555555D53F0000000000000000555555555555E53F');
CREATE TABLE run_figures (
	run_id VARCHAR(36) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	node_count INTEGER NOT NULL, 
	shapes JSON, 
	present BLOB, tensors JSON, 
	CONSTRAINT pk_run_figures PRIMARY KEY (run_id, kind), 
	CONSTRAINT fk_run_figures_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "run_figures" VALUES('01a22487-c1a3-73c0-be4d-ae09b54e7fa9','values',7,NULL,NULL,NULL);
INSERT INTO "run_figures" VALUES('01a22487-c1a3-73c0-be4d-ae09b54e7fa9','gradients',7,NULL,NULL,NULL);
INSERT INTO "run_figures" VALUES('01a22487-c1a4-738e-994a-ea6209b39626','values',7,NULL,X'F0',NULL);
INSERT INTO "run_figures" VALUES('01a22487-c1a4-738e-994a-ea6209b39626','gradients',7,NULL,NULL,NULL);
INSERT INTO "run_figures" VALUES('01a22487-c250-77a1-9fe0-81e1c5b466e2','values',4,NULL,NULL,NULL);
INSERT INTO "run_figures" VALUES('01a22487-c250-77a1-9fe0-81e1c5b466e2','gradients',4,NULL,NULL,NULL);
INSERT INTO "run_figures" VALUES('01a224a9-ae6f-767a-bb97-c82394a333fa','values',4,NULL,NULL,NULL);
INSERT INTO "run_figures" VALUES('01a224a9-ae6f-767a-bb97-c8249a3c1ada','values',4,NULL,X'D0',NULL);
CREATE TABLE run_tags (
	run_id VARCHAR(36) NOT NULL, 
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_run_tags PRIMARY KEY (run_id, "key"), 
	CONSTRAINT fk_run_tags_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "run_tags" VALUES('01a22487-c250-77a1-9fe0-81e1c5b466e2','from','a network');
CREATE TABLE runs (
	id VARCHAR(36) NOT NULL, 
	graph_id VARCHAR(36) NOT NULL, 
	source VARCHAR(16) NOT NULL, 
	recorded_by TEXT, 
	dtype VARCHAR(16) NOT NULL, 
	output TEXT, 
	seed BLOB, 
	seed_shape JSON, 
	nonfinite_forward TEXT, 
	nonfinite_backward TEXT, 
	nondifferentiable JSON NOT NULL, 
	label TEXT, 
	created_at DATETIME NOT NULL, convention VARCHAR(16) DEFAULT 'minimum-norm' NOT NULL, 
	CONSTRAINT pk_runs PRIMARY KEY (id), 
	CONSTRAINT fk_runs_graph_id FOREIGN KEY(graph_id) REFERENCES graphs (id)
);
INSERT INTO "runs" VALUES('01a22487-c1a3-73c0-be4d-ae09b54e7fa9','01a22487-bc17-76d2-b8f1-a181241155e6','computed',NULL,'float64','F',X'000000000000F03F','[]',NULL,NULL,'[]',NULL,'2026-11-28 23:40:06.435000','minimum-norm');
INSERT INTO "runs" VALUES('01a22487-c1a4-738e-994a-ea6209b39626','01a22487-bc17-76d2-b8f1-a181241155e6','recorded','a claim','float64','F',X'000000000000F03F','[]',NULL,NULL,'[]',NULL,'2026-11-28 23:40:06.436089','minimum-norm');
INSERT INTO "runs" VALUES('01a22487-c250-77a1-9fe0-81e1c5b466e2','01a22487-c210-76f3-b780-d8e0524c450d','computed',NULL,'float64','y',X'000000000000F03F','[]',NULL,NULL,'[2]','at the kink','2026-11-28 23:40:06.608318','torch');
INSERT INTO "runs" VALUES('01a224a9-ae6f-767a-bb97-c82394a333fa','01a22487-c210-76f3-b780-d8e0524c450d','computed',NULL,'float64','y',NULL,NULL,NULL,NULL,'[]',NULL,'2026-11-29 00:17:09.743014','minimum-norm');
INSERT INTO "runs" VALUES('01a224a9-ae6f-767a-bb97-c8249a3c1ada','01a22487-c210-76f3-b780-d8e0524c450d','recorded','a student','float64','y',NULL,NULL,NULL,NULL,'[]','homework','2026-11-29 00:17:09.743646','minimum-norm');
CREATE TABLE tensor_chunks (
	digest VARCHAR(64) NOT NULL, 
	number INTEGER NOT NULL, 
	data BLOB NOT NULL, 
	CONSTRAINT pk_tensor_chunks PRIMARY KEY (digest, number), 
	CONSTRAINT fk_tensor_chunks_digest FOREIGN KEY(digest) REFERENCES tensors (digest) ON DELETE CASCADE
);
INSERT INTO "tensor_chunks" VALUES('a22c3ed5a4373ff0fec0f09aab6b21632b8b3a3c211fc85b16ac748145d50fc2',0,X'934E554D5059010076007B276465736372273A20273C6634272C2027666F727472616E5F6F72646572273A2046616C73652C20277368617065273A2028322C292C207D2020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020202020200A0000003F000000C0');
CREATE TABLE tensors (
	digest VARCHAR(64) NOT NULL, 
	dtype VARCHAR(16) NOT NULL, 
	shape JSON NOT NULL, 
	nbytes BIGINT NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_tensors PRIMARY KEY (digest)
);
INSERT INTO "tensors" VALUES('a22c3ed5a4373ff0fec0f09aab6b21632b8b3a3c211fc85b16ac748145d50fc2','<f4','[2]',136,'2026-11-29 19:59:42.228077');
CREATE INDEX ix_graph_tags_key_value ON graph_tags ("key", value);
CREATE INDEX ix_runs_graph_id_id ON runs (graph_id, id);
CREATE INDEX ix_runs_label_id ON runs (label, id);
CREATE INDEX ix_runs_recorded_by_id ON runs (recorded_by, id);
CREATE INDEX ix_run_tags_key_value ON run_tags ("key", value);
CREATE INDEX ix_comparisons_baseline_id ON comparisons (baseline_id);
CREATE INDEX ix_comparisons_candidate_id ON comparisons (candidate_id);
CREATE INDEX ix_derivatives_graph_id ON derivatives (graph_id);
CREATE INDEX ix_graphs_digest ON graphs (digest);
CREATE INDEX ix_graphs_name_id ON graphs (name, id);
CREATE INDEX ix_graphs_parent_id ON graphs (parent_id);
COMMIT;
