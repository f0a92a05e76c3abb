namespace Blanket.Lab.StockXen;

/// <summary>What dom0 does before a domain starts, for those who need more there than a toolstack.</summary>
/// <param name="Script">For dom0's shell, which sources it when the bridges are there; dom0 has busybox.</param>
/// <param name="Files">A directory of the host, which dom0 has as <c>/job/files</c>.</param>
public sealed record XenPreparation(string Script, string Files);
