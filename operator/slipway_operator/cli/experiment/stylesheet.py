"""How a report looks: readable on a phone, in the dark and on paper. Colours on their ground have a contrast of 4.5 to 1 or more."""

from typing import Final

TEXT: Final = """
:root{color-scheme:light dark;
--paper:#fff;--ink:#1b1d1f;--soft:#565c62;--rule:#d5d9dd;--tint:#f3f5f7;--line:#1f5fa8;--area:#1f5fa82e;--good:#176433;--bad:#a3221b}
@media (prefers-color-scheme:dark){:root{
--paper:#14171a;--ink:#e9ebed;--soft:#b3bac1;--rule:#3a4047;--tint:#1e2327;--line:#8ab8f0;--area:#8ab8f038;--good:#86d59d;--bad:#ff9d94}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:46rem;background:var(--paper);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
h1,h2,p,li,summary{overflow-wrap:anywhere}
h1{font-size:1.5rem;line-height:1.2;margin:.5rem 0}
h2{font-size:1.2rem;margin:2rem 0 .5rem;padding-top:.75rem;border-top:1px solid var(--rule)}
h3{font-size:1rem;margin:1.25rem 0 .25rem}
p{margin:.5rem 0}
.lead{font-size:1.15rem;font-weight:600}
.soft,caption,figcaption,footer{color:var(--soft);font-size:.9rem}
.verdict{display:inline-block;padding:.1rem .6rem;border:1px solid currentColor;border-radius:1rem;font-size:.9rem;font-weight:600;white-space:nowrap}
.good{color:var(--good)}
.bad{color:var(--bad)}
figure{margin:1rem 0}
svg{display:block;width:100%;max-width:35rem;height:auto;font:11px system-ui,sans-serif}
svg .band{fill:var(--tint)}
svg .edge{stroke:var(--soft);stroke-width:1;stroke-dasharray:2 3}
svg .interval{fill:var(--area)}
svg .end,svg .estimate{fill:none;stroke:var(--line);stroke-width:1.2}
svg .estimate{stroke-dasharray:5 3}
svg .zero{stroke:var(--ink);stroke-width:1.2}
svg .last{stroke:var(--line);stroke-width:3}
svg .dot{fill:var(--line)}
svg .tick{stroke:var(--soft);stroke-width:1}
svg .change{stroke:var(--soft);stroke-width:1;stroke-dasharray:1 3}
svg .number{fill:var(--paper);stroke:var(--ink)}
svg text{fill:var(--ink)}
svg .label{fill:var(--soft)}
svg .over-lines{stroke:var(--paper);stroke-width:3;stroke-linejoin:round;paint-order:stroke}
svg .end-label{text-anchor:end}
svg .mid-label,svg .number-label{text-anchor:middle}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;margin:.75rem 0;
font-size:.9rem;line-height:1.35}
caption{text-align:left;padding-bottom:.25rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--rule);font-variant-numeric:tabular-nums}
th{font-weight:600}
.n{white-space:nowrap}
.num{text-align:right}
td .soft,td .verdict{font-size:1em}
@media (max-width:30rem){table{font-size:.8rem}th,td{padding-right:.4rem}}
summary{cursor:pointer}
footer{margin-top:2rem;border-top:1px solid var(--rule);padding-top:.5rem}
@media print{
:root{color-scheme:light;--paper:#fff;--ink:#000;--soft:#444;--rule:#bbb;--tint:#f0f0f0;--line:#1f5fa8;--area:#1f5fa82e;--good:#176433;--bad:#a3221b}
body{max-width:none;font-size:10pt}h2{break-after:avoid}figure,tr{break-inside:avoid}.scroll{overflow:visible}}
"""
