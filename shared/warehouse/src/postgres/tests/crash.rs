//! A merge whose connection is cut between any two statements, by a proxy that counts the client's requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use staging::ColumnType;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::{PostgresBench, server};
use crate::conformance::{Bench, Cell, File, Row, contact, contacts, identities, live, merge, stage};
use crate::plan::check_batch;
use crate::{Kind, LocatedFile, Warehouse, connect};

/// Starts a proxy that passes on `left` requests and then closes the connection. Returns its port.
async fn proxy(server: Arc<server::Server>, left: Arc<AtomicUsize>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let Ok((client, _)) = listener.accept().await else { return };
            let postgres = UnixStream::connect(server.socket()).await.unwrap();
            tokio::spawn(pass_on(client, postgres, Arc::clone(&left)));
        }
    });
    port
}

async fn pass_on(client: TcpStream, postgres: UnixStream, left: Arc<AtomicUsize>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_postgres, mut to_postgres) = postgres.into_split();
    let answers = tokio::spawn(async move { tokio::io::copy(&mut from_postgres, &mut to_client).await });
    let mut is_first = true;
    loop {
        // Messages have a letter, but for the first, and their length.
        let mut letter = [b'-'];
        if !is_first && from_client.read_exact(&mut letter).await.is_err() {
            break;
        }
        let Ok(length) = from_client.read_u32().await else { break };
        let mut body = vec![0; length as usize - 4];
        if from_client.read_exact(&mut body).await.is_err() {
            break;
        }
        // Simple questions, and the execution of prepared ones.
        if b"QE".contains(&letter[0])
            && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err()
        {
            break;
        }
        let message = [if is_first { &[][..] } else { &letter }, &length.to_be_bytes(), &body].concat();
        is_first = false;
        if to_postgres.write_all(&message).await.is_err() {
            break;
        }
    }
    answers.abort();
}

/// Removes columns that were not there before, which must be NULL: they are added ahead of a merge.
fn without_new(tables: Vec<Option<Vec<Row>>>, before: &[Option<Vec<Row>>]) -> Vec<Option<Vec<Row>>> {
    let mut tables = tables;
    for (table, before) in tables.iter_mut().zip(before) {
        let known = before.iter().flatten().next().cloned();
        for row in table.iter_mut().flatten() {
            row.retain(|name, cell| match &known {
                Some(known) if !known.contains_key(name) => {
                    assert_eq!(*cell, Cell::Null, "{name}");
                    false
                }
                _ => true,
            });
        }
    }
    tables
}

async fn tables(bench: &PostgresBench, names: &[&str]) -> Vec<Option<Vec<Row>>> {
    let mut tables = Vec::new();
    for name in names {
        tables.push(if bench.has_table(name).await { Some(bench.rows(name).await) } else { None });
    }
    tables
}

/// Cuts a merge at its first statement, then at its second one, and so on until it gets through.
async fn cut_everywhere(before: &[File], files: &[File]) -> Option<usize> {
    let server = Arc::new(server::Server::start(&[])?);
    let bench = PostgresBench::on(server.socket_url()).await;
    merge(&bench, before).await;
    let files: Vec<LocatedFile> = stage(&bench, files);
    check_batch(&files).unwrap();
    let names = [files[0].description.table.collection.as_str(), "_loaded_files", "_account"];
    let untouched = tables(&bench, &names).await;

    let left = Arc::new(AtomicUsize::new(usize::MAX));
    let port = proxy(Arc::clone(&server), Arc::clone(&left)).await;
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
    for statements in 0..1000 {
        left.store(usize::MAX, Ordering::SeqCst);
        let warehouse: Box<dyn Warehouse> = connect(&url, &bench.schema, None, None).await.unwrap();
        left.store(statements, Ordering::SeqCst);
        let outcome = warehouse.merge(&files).await;
        left.store(usize::MAX, Ordering::SeqCst);
        match outcome {
            Ok(merged) => {
                assert_eq!(merged.files, files.len() as u64);
                assert_ne!(tables(&bench, &names).await, untouched);
                return Some(statements);
            }
            Err(error) => {
                assert!(matches!(error.kind(), Kind::Engine | Kind::Unreachable), "{statements}: {error:?}");
                // The server notices by itself, a little later.
                tokio::time::sleep(Duration::from_millis(5)).await;
                let left = without_new(tables(&bench, &names).await, &untouched);
                assert_eq!(left, untouched, "cut before statement {statements}");
            }
        }
    }
    panic!("never got through");
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_between_any_two_statements_a_first_merge_leaves_nothing() {
    let columns = [("name", ColumnType::Text)];
    let row = |id: i64| contact(id, 10, 11, &[Cell::text("Ada")]);
    let files = [contacts("a", &columns, (0..5).map(row).collect()), contacts("b", &[], vec![])];
    let Some(statements) = cut_everywhere(&[], &files).await else { return };
    assert!(statements > 20, "{statements}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_between_any_two_statements_a_later_merge_leaves_nothing() {
    let before = [identities("a", vec![live(1, "EMAIL", "a@x", 10, 11), live(1, "EMAIL", "b@x", 10, 11)])];
    let mut wider = identities("b", vec![live(1, "EMAIL", "b@x", 20, 21), live(2, "EMAIL", "c@x", 20, 21)]);
    wider.table.columns.push(staging::Column::new("city", ColumnType::Text));
    wider.rows.iter_mut().for_each(|row| row.push(Cell::text("Ulm")));
    let tie = identities("c", vec![live(1, "EMAIL", "a@x", 10, 11)]);
    let Some(statements) = cut_everywhere(&before, &[wider, tie]).await else { return };
    assert!(statements > 25, "{statements}");
}
