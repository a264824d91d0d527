"""The functions that vit_heldout.yaml names; lmms-eval looks for them in this file."""

from hf_select.evaluation.held_out import doc_to_messages, doc_to_text, doc_to_visual, process_docs, process_results

__all__ = ["doc_to_messages", "doc_to_text", "doc_to_visual", "process_docs", "process_results"]
