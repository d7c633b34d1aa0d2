BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003');
CREATE TABLE comparisons (
	id VARCHAR(36) NOT NULL, 
	baseline_id VARCHAR(36) NOT NULL, 
	candidate_id VARCHAR(36) NOT NULL, 
	tolerance JSON NOT NULL, 
	names JSON NOT NULL, 
	backward BOOLEAN NOT NULL, 
	verdict VARCHAR(16) NOT NULL, 
	counts JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_comparisons PRIMARY KEY (id), 
	CONSTRAINT fk_comparisons_baseline_id FOREIGN KEY(baseline_id) REFERENCES runs (id), 
	CONSTRAINT fk_comparisons_candidate_id FOREIGN KEY(candidate_id) REFERENCES runs (id)
);
INSERT INTO "comparisons" VALUES('01a22487-5e57-72d7-ac9c-862ec8c9b2d1','01a22487-5e3b-7338-a146-3db4a5b97c93','01a22487-5e3c-70c0-a51d-4bd71b2f43d3','"float64"','{}',1,'differ','{"same": 5, "origin": 2, "inherited": 4, "compensated": 0, "convention": 0}','2026-11-28 23:39:41.015743');
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
CREATE TABLE graph_tags (
	graph_id VARCHAR(36) NOT NULL, 
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_graph_tags PRIMARY KEY (graph_id, "key"), 
	CONSTRAINT fk_graph_tags_graph_id FOREIGN KEY(graph_id) REFERENCES graphs (id) ON DELETE CASCADE
);
INSERT INTO "graph_tags" VALUES('01a22487-5d08-73bd-acf5-00262d2f893e','from','the tutorial');
CREATE TABLE graphs (
	id VARCHAR(36) NOT NULL, 
	name TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	expression TEXT, 
	parent_id VARCHAR(36), 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_graphs PRIMARY KEY (id), 
	CONSTRAINT fk_graphs_digest FOREIGN KEY(digest) REFERENCES contents (digest), 
	CONSTRAINT fk_graphs_parent_id FOREIGN KEY(parent_id) REFERENCES graphs (id), 
	CONSTRAINT uq_graphs_name_digest UNIQUE (name, digest), 
	CONSTRAINT uq_graphs_name_version UNIQUE (name, version)
);
INSERT INTO "graphs" VALUES('01a22487-5d08-73bd-acf5-00262d2f893e','seed',1,'4f09528cc3a9207273d442457bb83df4598778f4773e62cfe4cfae1abe556bf0','F(a, b, c, d) = f / d; f = e * c; e = a + b',NULL,'2026-11-28 23:39:40.680820');
INSERT INTO "graphs" VALUES('01a22487-5eb4-760b-87e9-a6e04bb07679','kinks',1,'13b3d93c85c521caf7587f3c6f3e732f327177ed951a62e24bb2c5a878ce4a62','y = relu(x) * w',NULL,'2026-11-28 23:39:41.108452');
CREATE TABLE idempotency_keys (
	"key" TEXT NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	resource_id VARCHAR(36) NOT NULL, 
	status INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_idempotency_keys PRIMARY KEY ("key")
);
INSERT INTO "idempotency_keys" VALUES('the seed','ad02e0ccd8a0d9fbfbcede0a2cee9a092720f2f7d46d4ec8d29bdaa7e7554746','01a22487-5d08-73bd-acf5-00262d2f893e',201,'2026-11-28 23:39:40.831624');
CREATE TABLE run_chunks (
	run_id VARCHAR(36) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	number INTEGER NOT NULL, 
	data BLOB NOT NULL, 
	CONSTRAINT pk_run_chunks PRIMARY KEY (run_id, kind, number), 
	CONSTRAINT fk_run_chunks_run_id_kind FOREIGN KEY(run_id, kind) REFERENCES run_figures (run_id, kind) ON DELETE CASCADE
);
INSERT INTO "run_chunks" VALUES('01a22487-5e3b-7338-a146-3db4a5b97c93','values',0,X'0000000000001440000000000000F03F00000000000000C000000000000008C0000000000000184000000000000028C00000000000001040');
INSERT INTO "run_chunks" VALUES('01a22487-5e3b-7338-a146-3db4a5b97c93','gradients',0,X'555555555555E53F555555555555E53F00000000000000C0555555555555F53F555555555555E53F555555555555D5BF000000000000F03F');
INSERT INTO "run_chunks" VALUES('01a22487-5e3c-70c0-a51d-4bd71b2f43d3','values',0,X'0000000000001440000000000000F03F00000000000000C000000000000008C0000000000000000000000000000000000000000000000000');
INSERT INTO "run_chunks" VALUES('01a22487-5e3c-70c0-a51d-4bd71b2f43d3','gradients',0,X'0000000000001840000000000000184000000000000032C00000000000005B40000000000000184000000000000008C0000000000000F03F');
INSERT INTO "run_chunks" VALUES('01a22487-5efa-7453-ad29-f86988b16257','values',0,X'0000000000000000000000000000084000000000000000000000000000000000');
INSERT INTO "run_chunks" VALUES('01a22487-5efa-7453-ad29-f86988b16257','gradients',0,X'000000000000000000000000000000000000000000000840000000000000F03F');
CREATE TABLE run_figures (
	run_id VARCHAR(36) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	node_count INTEGER NOT NULL, 
	shapes JSON, 
	present BLOB, 
	CONSTRAINT pk_run_figures PRIMARY KEY (run_id, kind), 
	CONSTRAINT fk_run_figures_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "run_figures" VALUES('01a22487-5e3b-7338-a146-3db4a5b97c93','values',7,NULL,NULL);
INSERT INTO "run_figures" VALUES('01a22487-5e3b-7338-a146-3db4a5b97c93','gradients',7,NULL,NULL);
INSERT INTO "run_figures" VALUES('01a22487-5e3c-70c0-a51d-4bd71b2f43d3','values',7,NULL,X'F0');
INSERT INTO "run_figures" VALUES('01a22487-5e3c-70c0-a51d-4bd71b2f43d3','gradients',7,NULL,NULL);
INSERT INTO "run_figures" VALUES('01a22487-5efa-7453-ad29-f86988b16257','values',4,NULL,NULL);
INSERT INTO "run_figures" VALUES('01a22487-5efa-7453-ad29-f86988b16257','gradients',4,NULL,NULL);
CREATE TABLE run_tags (
	run_id VARCHAR(36) NOT NULL, 
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_run_tags PRIMARY KEY (run_id, "key"), 
	CONSTRAINT fk_run_tags_run_id FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
);
INSERT INTO "run_tags" VALUES('01a22487-5efa-7453-ad29-f86988b16257','from','a network');
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
INSERT INTO "runs" VALUES('01a22487-5e3b-7338-a146-3db4a5b97c93','01a22487-5d08-73bd-acf5-00262d2f893e','computed',NULL,'float64','F',X'000000000000F03F','[]',NULL,NULL,'[]',NULL,'2026-11-28 23:39:40.987203','minimum-norm');
INSERT INTO "runs" VALUES('01a22487-5e3c-70c0-a51d-4bd71b2f43d3','01a22487-5d08-73bd-acf5-00262d2f893e','recorded','a claim','float64','F',X'000000000000F03F','[]',NULL,NULL,'[]',NULL,'2026-11-28 23:39:40.988825','minimum-norm');
INSERT INTO "runs" VALUES('01a22487-5efa-7453-ad29-f86988b16257','01a22487-5eb4-760b-87e9-a6e04bb07679','computed',NULL,'float64','y',X'000000000000F03F','[]',NULL,NULL,'[2]','at the kink','2026-11-28 23:39:41.179016','torch');
CREATE INDEX ix_graphs_digest ON graphs (digest);
CREATE INDEX ix_graphs_name_id ON graphs (name, id);
CREATE INDEX ix_graphs_parent_id ON graphs (parent_id);
CREATE INDEX ix_graph_tags_key_value ON graph_tags ("key", value);
CREATE INDEX ix_runs_graph_id_id ON runs (graph_id, id);
CREATE INDEX ix_runs_label_id ON runs (label, id);
CREATE INDEX ix_runs_recorded_by_id ON runs (recorded_by, id);
CREATE INDEX ix_run_tags_key_value ON run_tags ("key", value);
CREATE INDEX ix_comparisons_baseline_id ON comparisons (baseline_id);
CREATE INDEX ix_comparisons_candidate_id ON comparisons (candidate_id);
COMMIT;
