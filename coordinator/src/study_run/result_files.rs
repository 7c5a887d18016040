// SPDX-License-Identifier: Apache-2.0
//! A result as files.

use super::RunFault;
use consilium_learning::StudyResult;

/// The result as JSON and as safetensors.
pub(crate) fn write_result(result: &StudyResult) -> Result<(Vec<u8>, Vec<u8>), RunFault> {
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
