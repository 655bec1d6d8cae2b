#include "launch/report/page.h"

namespace cohort {

// The palette is Okabe and Ito's (2008), darkened for white paper and lightened for dark screens.
std::string StyleSheet() {
  return R"css(
:root{color-scheme:light dark;--page:#fbfbf9;--card:#fff;--ink:#1c1e21;--soft:#5b6067;--line:#dfe1e4;--grid:#ebecee;
--c0:#0067a5;--c1:#c2500a;--c2:#00795a;--c3:#a8487f;--c4:#946200;--c5:#2b84b8;--heat:#5aa3d6;--good:#00795a;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--page:#14161a;--card:#1c1f24;--ink:#e6e7e9;--soft:#a2a8b0;--line:#363b43;
--grid:#2a2e35;--c0:#63b3ea;--c1:#f08a4b;--c2:#35c39a;--c3:#e09ac4;--c4:#e6b450;--c5:#9bd0f0;--heat:#1f6aa5;--good:#35c39a;--bad:#ff8a80}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",
"DejaVu Sans",sans-serif;font-variant-numeric:tabular-nums}
main{max-width:1340px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em}
h2{font-size:1.2rem;margin:44px 0 4px;padding-top:14px;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:26px 0 8px}
p{margin:4px 0 12px;max-width:72ch}
.soft{color:var(--soft)}
.status{font-size:.85rem;font-weight:600;border:1.5px solid currentColor;border-radius:99px;padding:2px 11px;
margin-left:8px;vertical-align:middle;white-space:nowrap;letter-spacing:0}
.done{color:var(--good)}.failed{color:var(--bad)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(132px,1fr));gap:10px;margin:18px 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:10px 13px}
.tile b{display:block;font-size:1.25rem;line-height:1.3;font-weight:650;overflow-wrap:anywhere}
.tile span{color:var(--soft);font-size:.82rem}
.scroll{overflow-x:auto;margin:8px 0 16px;background:var(--card);border:1px solid var(--line);border-radius:8px}
table{border-collapse:collapse;width:100%;font-size:.88rem}
th,td{padding:7px 12px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--grid)}
tr:last-child td,tr:last-child th{border-bottom:0}
thead th{color:var(--soft);font-weight:600;border-bottom:1px solid var(--line)}
th:first-child,td:first-child,.left{text-align:left}
tbody th{font-weight:600}
.words{text-align:left;white-space:normal;min-width:18rem}
.meter{display:inline-block;width:84px;height:8px;margin-right:8px;border-radius:4px;background:var(--grid);overflow:hidden;
vertical-align:middle}
.meter i{display:block;height:100%;background:var(--c0)}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,285px),1fr));gap:14px;margin:10px 0}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:10px 12px 8px;break-inside:avoid;
min-width:0}
figcaption{font-weight:600;font-size:.9rem;margin-bottom:4px;overflow-wrap:anywhere}
svg.chart{display:block;width:100%;height:auto}
svg text{font-family:inherit;font-size:11px;fill:var(--soft)}
svg .note{font-size:10.5px}
.grid{stroke:var(--grid)}.axis{stroke:var(--soft);stroke-opacity:.7}
.rule{stroke:var(--soft);stroke-dasharray:3 3;stroke-opacity:.85}
.line{fill:none;stroke-width:1.8;stroke-linejoin:round}
.area{stroke-width:1.5;fill-opacity:.16}
.dot{stroke:var(--card);stroke-width:.8}
.s0{color:var(--c0)}.s1{color:var(--c1)}.s2{color:var(--c2)}.s3{color:var(--c3)}.s4{color:var(--c4)}.s5{color:var(--c5)}
.whisker{stroke:currentColor;stroke-width:1.2;stroke-opacity:.55}.line{stroke:currentColor}.area{stroke:currentColor;fill:currentColor}.dot,.bar{fill:currentColor}.bar{fill-opacity:.82}
.line.s1{stroke-dasharray:6 2.5}.line.s2{stroke-dasharray:1.6 2.2}.line.s3{stroke-dasharray:8 2 2 2}
.line.s4{stroke-dasharray:11 3}.line.s5{stroke-dasharray:3 2}
.area.s1{stroke-dasharray:5 2}
.flow{fill:currentColor;fill-opacity:.32}.heat{fill:var(--heat)}svg .cell{font-size:10.5px;fill:var(--ink)}
.wide-chart{overflow-x:auto;margin:10px 0}
.legend{margin:2px 0 0;display:flex;flex-wrap:wrap;gap:2px 14px;font-size:.8rem;color:var(--soft)}
.legend svg{margin-right:5px;vertical-align:middle}
.none{color:var(--soft);font-style:italic;margin:14px 0}
details{margin:8px 0}summary{cursor:pointer;font-weight:600}
pre{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px;overflow:auto;font-size:.8rem;line-height:1.4}
code{overflow-wrap:anywhere;font-size:.88em}
@media (max-width:520px){main{padding:18px 12px 40px}h1{font-size:1.4rem}th,td{padding:6px 9px}
.tiles{grid-template-columns:repeat(2,1fr)}.wide,.meter.wide{display:none}}
@media print{:root{--page:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#bbb;--grid:#e4e4e4;--c0:#0067a5;--c1:#c2500a;
--c2:#00795a;--c3:#a8487f;--c4:#946200;--c5:#2b84b8;--heat:#5aa3d6;--good:#00795a;--bad:#b3261e}
body{font-size:11pt;print-color-adjust:exact;-webkit-print-color-adjust:exact}main{max-width:none;padding:0}
.charts{grid-template-columns:repeat(2,1fr)}h2,h3{break-after:avoid}.scroll{overflow:visible}table{font-size:8.5pt}
th,td{padding:3px 6px}}
)css";
}

}  // namespace cohort
