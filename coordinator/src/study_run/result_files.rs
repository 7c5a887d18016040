// SPDX-License-Identifier: Apache-2.0
//! A result as files.

use super::{RunFault, StudyRun};
use crate::federation::unix_milliseconds;
use crate::study::StoredOutcome;
use consilium_learning::StudyResult;
use consilium_learning::result::EvaluationResult;
use std::sync::Arc;

impl StudyRun<'_> {
    /// Stores a result among the blobs.
    pub(crate) async fn store_result(
        &self,
        result: &StudyResult,
    ) -> Result<StoredOutcome, RunFault> {
        let (json, tensors) = write_result(result)?;
        let spool = Arc::clone(&self.federation.spool);
        let stored = tokio::task::spawn_blocking(move || {
            Ok::<_, RunFault>((spool.put(&json)?, spool.put(&tensors)?))
        });
        let (json, safetensors) = stored.await.map_err(|_| RunFault::BrokeOff)??;
        Ok(StoredOutcome {
            json,
            safetensors: Some(safetensors),
            milliseconds: unix_milliseconds(),
        })
    }

    /// Stores what came out of the training together with how its model did.
    pub(crate) async fn store_evaluated(
        &self,
        evaluation: &EvaluationResult,
    ) -> Result<StoredOutcome, RunFault> {
        let trained = self.study.trained.clone();
        let trained = trained.ok_or(RunFault::Incomplete("the trained model is missing"))?;
        let evaluation =
            serde_json::to_value(evaluation).map_err(|fault| RunFault::Result(fault.into()))?;
        let spool = Arc::clone(&self.federation.spool);
        let stored = tokio::task::spawn_blocking(move || {
            let bytes = spool.get(&trained.json)?;
            // As a value and not as a result: JSON knows no infinity, and an odds ratio may be one.
            let mut result: serde_json::Map<String, serde_json::Value> =
                serde_json::from_slice(&bytes).map_err(|fault| RunFault::Result(fault.into()))?;
            result.insert("evaluation".to_owned(), evaluation);
            let json = serde_json::to_vec_pretty(&result)
                .map_err(|fault| RunFault::Result(fault.into()))?;
            Ok::<_, RunFault>(StoredOutcome {
                json: spool.put(&json)?,
                milliseconds: unix_milliseconds(),
                ..trained
            })
        });
        stored.await.map_err(|_| RunFault::BrokeOff)?
    }
}

/// The result as JSON and as safetensors.
fn write_result(result: &StudyResult) -> Result<(Vec<u8>, Vec<u8>), RunFault> {
    let json = serde_json::to_vec_pretty(result).map_err(|fault| RunFault::Result(fault.into()))?;
    let parameters = result.parameters();
    let bytes: Vec<(String, Vec<u8>, usize)> = parameters
        .into_iter()
        .map(|(name, values)| {
            let bytes = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            (name, bytes, values.len())
        })
        .collect();
    let views = bytes.iter().map(|(name, bytes, length)| {
        safetensors::tensor::TensorView::new(safetensors::Dtype::F64, vec![*length], bytes)
            .map(|view| (name.clone(), view))
    });
    let views = views
        .collect::<Result<Vec<_>, _>>()
        .map_err(|fault| RunFault::Result(fault.into()))?;
    let tensors =
        safetensors::serialize(views, None).map_err(|fault| RunFault::Result(fault.into()))?;
    Ok((json, tensors))
}
