// HubSpot's own client reads everything from a running fake, and compares it with what the fake knows to be true.
// The client is generated from HubSpot's specification: what it can't parse, HubSpot doesn't send.
//
//     node check.mjs http://127.0.0.1:8080 pat-na1-fake

import assert from "node:assert/strict";
import { Client } from "@hubspot/api-client";

const [url, token] = process.argv.slice(2);
if (!url || !token) {
  console.error("usage: node check.mjs <url of a running fake> <token>");
  process.exit(2);
}

// It waits and asks again by itself when it meets a limit, if it understands the refusal.
const client = new Client({ accessToken: token, basePath: url, numberOfApiCallRetries: 3 });
const apis = { contacts: client.crm.contacts, companies: client.crm.companies, deals: client.crm.deals };
const modifiedProperty = {
  contacts: "lastmodifieddate",
  companies: "hs_lastmodifieddate",
  deals: "hs_lastmodifieddate",
};
const outcome = { passed: 0, failed: 0 };

for (const [type, api] of Object.entries(apis)) {
  const truth = await readTruth(type);
  const live = truth.filter((record) => !record.archived && record.merged_into === null);
  const archived = truth.filter((record) => record.archived);
  const merged = truth.filter((record) => record.merged_into !== null);
  let names = [];

  await check(`${type}: property definitions are those of the truth`, async () => {
    const { results } = await client.crm.properties.coreApi.getAll(type);
    results.forEach(conforms);
    // The client has no parameter for these.
    const path = `/crm/properties/2026-09/${type}?dataSensitivity=sensitive`;
    const sensitive = await (await client.apiRequest({ path })).json();
    names = [...results, ...sensitive.results].map((property) => property.name);
    assert.deepEqual(names.toSorted(), Object.keys(truth[0].properties).toSorted());
  });

  await check(`${type}: the list holds every live record with every value`, async () => {
    sameRecords(await api.getAll(100, undefined, names), live);
  });

  await check(`${type}: the archived list holds every archived record`, async () => {
    const records = await api.getAll(100, undefined, names, undefined, undefined, true);
    sameRecords(records, archived);
    records.forEach((record) => assert(record.archivedAt >= record.updatedAt));
  });

  await check(`${type}: a search pages through what was modified lately`, async () => {
    const times = live.map((record) => Date.parse(record.updated_at)).toSorted((one, two) => one - two);
    const since = times[Math.floor(times.length / 2)];
    const expected = live.filter((record) => Date.parse(record.updated_at) >= since);
    sameRecords(await searchAll(api, type, since, names), expected);
  });

  await check(`${type}: batch reads hold what the list holds`, async () => {
    const records = [];
    for (const part of parts(live, 100)) {
      const inputs = part.map((record) => ({ id: String(record.id) }));
      const answer = await api.batchApi.read({ inputs, properties: names, propertiesWithHistory: [] });
      conforms(answer);
      records.push(...answer.results);
    }
    sameRecords(records, live);
  });

  await check(`${type}: a batch read tells which ids it doesn't know`, async () => {
    const inputs = [{ id: String(live[0].id) }, { id: String(merged[0].id) }];
    const answer = await api.batchApi.read({ inputs, properties: [], propertiesWithHistory: ["createdate"] });
    conforms(answer);
    assert.equal(answer.numErrors, 1);
    assert.deepEqual(answer.errors[0].context.ids, [inputs[1].id]);
  });

  await check(`${type}: merged ids lead to the survivor`, async () => {
    for (const gone of merged.slice(0, 5)) {
      const record = await api.basicApi.getById(String(gone.id));
      conforms(record);
      assert.equal(record.id, String(gone.merged_into));
    }
  });

  await check(`${type}: an unknown record is not found`, async () => {
    await assert.rejects(api.basicApi.getById("2"), { code: 404 });
  });
}

for (const to of ["contacts", "companies"]) {
  const deals = (await readTruth("deals")).filter((deal) => !deal.archived && deal.merged_into === null);

  await check(`deals to ${to}: batches hold every link, page by page`, async () => {
    const read = await readAssociations("deals", to, deals.map((deal) => String(deal.id)));
    for (const deal of deals) {
      const links = deal.associations[to].map((link) => (to === "companies" ? link : [link, false]));
      assert.deepEqual(read.get(String(deal.id)) ?? [], links);
    }
  });

  await check(`deals to ${to}: records of a list carry their links`, async () => {
    const page = await apis.deals.basicApi.getPage(100, undefined, undefined, undefined, [to]);
    for (const record of page.results.filter((record) => !record.associations?.[to]?.paging)) {
      conforms(record);
      const deal = deals.find((deal) => String(deal.id) === record.id);
      const listed = new Set((record.associations?.[to]?.results ?? []).map((link) => link.id));
      const links = deal.associations[to].map((link) => String(to === "companies" ? link[0] : link));
      assert.deepEqual([...listed], links);
    }
  });
}

await check("lists: a search pages through all of them", async () => {
  const expected = (await readTruth("lists")).filter((list) => list.deleted_at === null);
  const lists = [];
  for (let more = true, offset = 0; more; ) {
    const additionalProperties = ["hs_list_size", "hs_folder_name"];
    const request = { listIds: [], processingTypes: [], additionalProperties, offset, count: 5, query: "" };
    const page = await client.crm.lists.listsApi.doSearch(request);
    conforms(page);
    lists.push(...page.lists);
    ({ hasMore: more, offset } = page);
  }
  sameLists(lists, expected);
  lists.forEach((list, place) => assert.equal(list.additionalProperties.hs_list_size, String(expected[place].size)));
});

await check("lists: those asked for by id show their filters", async () => {
  const expected = (await readTruth("lists")).filter((list) => list.deleted_at === null);
  const ids = expected.map((list) => String(list.id));
  const answer = await client.crm.lists.listsApi.getAll(ids, true);
  conforms(answer);
  sameLists(answer.lists, expected);
  answer.lists.forEach((list, place) => {
    assert.equal(list.size, expected[place].size);
    assert.equal(list.filterBranch?.filterBranchType, expected[place].filter_branch?.filterBranchType);
  });
  const one = await client.crm.lists.listsApi.getById(ids[0], true);
  conforms(one);
  assert.equal(one.list.listId, ids[0]);
});

await check("lists: memberships are those of the truth, by list and by record", async () => {
  const truth = (await readTruth("memberships")).filter((member) => member.object === "contacts");
  const { list } = truth[0];
  const members = [];
  let after;
  do {
    const page = await client.crm.lists.membershipsApi.getPage(String(list), after, undefined, 250);
    conforms(page);
    members.push(...page.results.map((member) => Number(member.recordId)));
    after = page.paging?.next?.after;
  } while (after !== undefined);
  assert.deepEqual(members, truth.filter((member) => member.list === list).map((member) => member.record));

  const records = members.slice(0, 100);
  const inputs = records.map((id) => ({ objectTypeId: "0-1", recordId: String(id) }));
  // The client doesn't hand out its model of this batch.
  const path = "/crm/lists/2026-09/records/memberships/batch/read";
  const batch = await (await client.apiRequest({ method: "POST", path, body: { inputs } })).json();
  for (const { recordId, recordListMemberships } of batch.results) {
    const expected = truth.filter((member) => member.record === Number(recordId)).map((member) => member.list);
    assert.deepEqual(recordListMemberships.map((one) => Number(one.listId)), expected);
  }
  const single = await client.crm.lists.membershipsApi.getLists("0-1", String(records[0]));
  conforms(single);
  assert.deepEqual(JSON.parse(JSON.stringify(single.results)), batch.results[0].recordListMemberships.map(parsedDates));
});

await check("lists: ids of v1 can be mapped", async () => {
  const legacy = (await readTruth("lists")).filter((list) => list.legacy_id !== null && list.deleted_at === null);
  const answer = await client.crm.lists.mappingApi.translateLegacyListIdToListIdBatch([
    ...legacy.map((list) => String(list.legacy_id)),
    "4711",
  ]);
  conforms(answer);
  assert.deepEqual(answer.missingLegacyListIds, ["4711"]);
  assert.deepEqual(answer.legacyListIdsToIdsMapping.map((pair) => Number(pair.listId)), legacy.map((list) => list.id));
});

await check("forms: those that the client has a model for, page by page", async () => {
  const expected = (await readTruth("forms")).filter((form) => form.archived_at === null);
  const hubspot = expected.filter((form) => form.form_type === "hubspot");
  const forms = [];
  let after;
  do {
    const page = await client.marketing.forms.formsApi.getPage(after, 2, false, ["hubspot"]);
    forms.push(...page.results);
    after = page.paging?.next?.after;
  } while (after !== undefined);
  forms.forEach(conforms);
  assert.deepEqual(forms.map((form) => [form.id, form.name]), hubspot.map((form) => [form.id, form.name]));
  // It fails on the other types, though it can ask for them.
  const all = await (await client.apiRequest({ path: "/marketing/v3/forms?formTypes=all" })).json();
  assert.deepEqual(all.results.map((form) => form.id), expected.map((form) => form.id));
});

await check("communication preferences: definitions and statuses", async () => {
  const { subscriptionDefinitions } = await client.communicationPreferences.definitionApi.getPage();
  subscriptionDefinitions.forEach(conforms);
  for (const truth of (await readTruth("subscriptions")).slice(0, 20)) {
    const answer = await client.communicationPreferences.statusApi.getEmailStatus(truth.email);
    conforms(answer);
    assert.equal(answer.recipient, truth.email);
    assert.equal(answer.subscriptionStatuses.length, subscriptionDefinitions.length);
    for (const { id, status } of answer.subscriptionStatuses) {
      const isSubscribed = truth.subscribed && truth.subscribed_to[id] === true;
      assert.equal(status, isSubscribed ? "SUBSCRIBED" : "NOT_SUBSCRIBED", `${truth.email} ${id}`);
    }
  }
});

await check("account: its details, by the client's plain call", async () => {
  const details = await (await client.apiRequest({ path: "/account-info/v3/details" })).json();
  assert.equal(typeof details.portalId, "number");
  assert.equal(typeof details.timeZone, "string");
});

await check("a bad search is refused in words the client understands", async () => {
  const refused = apis.contacts.searchApi.doSearch({ limit: 1000 });
  await assert.rejects(refused, (error) => error.code === 400 && error.body.category === "VALIDATION_ERROR");
});

console.log(`${outcome.passed} passed, ${outcome.failed} failed`);
process.exitCode = outcome.failed === 0 ? 0 : 1;

async function check(name, body) {
  try {
    await body();
    outcome.passed += 1;
    console.log(`ok      ${name}`);
  } catch (error) {
    outcome.failed += 1;
    console.log(`FAILED  ${name}\n        ${error.message.split("\n").slice(0, 12).join("\n        ")}`);
  }
}

async function readTruth(type) {
  const response = await fetch(`${url}/_fake/truth/${type}`);
  assert.equal(response.status, 200);
  const lines = (await response.text()).trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line));
}

async function searchAll(api, type, since, properties) {
  const filter = { propertyName: modifiedProperty[type], operator: "GTE", value: String(since) };
  const records = [];
  let after = "0";
  while (after !== undefined) {
    const search = { filterGroups: [{ filters: [filter] }], sorts: [modifiedProperty[type]], properties };
    const page = await api.searchApi.doSearch({ ...search, limit: 200, after });
    conforms(page);
    records.push(...page.results);
    after = page.paging?.next?.after;
  }
  return records;
}

/** Of each record: its links as `[id, is primary]`, from all pages. */
async function readAssociations(from, to, ids) {
  const links = new Map();
  let inputs = ids.map((id) => ({ id }));
  while (inputs.length > 0) {
    const answer = await client.crm.associations.v4.batchApi.getPage(from, to, { inputs: inputs.splice(0, 1000) });
    conforms(answer);
    for (const result of answer.results) {
      const page = result.to.map((link) => [
        Number(link.toObjectId),
        link.associationTypes.some((type) => type.label === "Primary"),
      ]);
      const { id } = result._from;
      links.set(id, [...(links.get(id) ?? []), ...page]);
      const after = result.paging?.next?.after;
      if (after !== undefined) inputs.push({ id, after });
    }
  }
  return links;
}

function sameRecords(read, expected) {
  read.forEach(conforms);
  const byId = new Map(read.map((record) => [record.id, record]));
  assert.equal(read.length, byId.size, "no record comes twice");
  assert.deepEqual([...byId.keys()].toSorted(), expected.map((record) => String(record.id)).toSorted());
  for (const record of expected) {
    const one = byId.get(String(record.id));
    assert.deepEqual({ ...one.properties }, record.properties, `values of ${record.id}`);
    assert.equal(one.createdAt.getTime(), Date.parse(record.created_at));
    assert.equal(one.updatedAt.getTime(), Date.parse(record.updated_at));
  }
}

/** As the client writes what it has parsed. */
function parsedDates({ listId, listVersion, firstAddedTimestamp, lastAddedTimestamp }) {
  const written = (date) => new Date(date).toISOString();
  return {
    listId,
    listVersion,
    lastAddedTimestamp: written(lastAddedTimestamp),
    firstAddedTimestamp: written(firstAddedTimestamp),
  };
}

function sameLists(read, expected) {
  assert.deepEqual(read.map((list) => Number(list.listId)), expected.map((list) => list.id));
  read.forEach((list, place) => {
    const truth = expected[place];
    conforms(list);
    assert.deepEqual(
      [list.name, list.processingType, list.processingStatus, list.listVersion],
      [truth.name, truth.processing, truth.processing_status, truth.version],
    );
    assert.equal(list.createdAt.getTime(), Date.parse(truth.created_at));
    assert.equal(list.updatedAt.getTime(), Date.parse(truth.updated_at));
  });
}

/** A parsed answer is what the client's models, made from HubSpot's specification, say it is. */
function conforms(model) {
  assert(model.constructor.getAttributeTypeMap, "not one of the client's models");
  conformsToModel(model, model.constructor.name);
}

function conformsToModel(model, path) {
  for (const { name, type } of model.constructor.getAttributeTypeMap?.() ?? []) {
    const value = model[name];
    if (value !== undefined && value !== null) conformsTo(value, type, `${path}.${name}`);
  }
}

function conformsTo(value, type, path) {
  const element = type.match(/^Array<(.*)>$/)?.[1];
  if (element) {
    assert(Array.isArray(value), `${path} is no list`);
    value.forEach((item, place) => conformsTo(item, element, `${path}[${place}]`));
  } else if (type === "Date") {
    assert(value instanceof Date && !Number.isNaN(value.getTime()), `${path} is no date`);
  } else if (path.endsWith(".toObjectId")) {
    // Text in the specification, a number in what v4 was seen to answer.
    assert.match(String(value), /^\d+$/, path);
  } else if (["string", "number", "boolean"].includes(type)) {
    assert.equal(typeof value, type, path);
  } else if (type.startsWith("{")) {
    assert.equal(typeof value, "object", path);
  } else {
    conformsToModel(value, path);
  }
}

function* parts(list, size) {
  for (let start = 0; start < list.length; start += size) yield list.slice(start, start + size);
}
